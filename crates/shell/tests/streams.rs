//! Streams that are written, piped and compressed, and blobs that are read.

mod common;

use common::run;

#[test]
fn streams_can_be_written_and_piped() {
    assert_eq!(
        run("const log = [], sink = { write(chunk) { log.push(chunk); }, close() { log.push('close'); }, abort(r) { log.push('abort ' + r); } };
             const s = new WritableStream(sink), w = s.getWriter();
             log.push(s.locked, w.desiredSize); w.write(1); log.push(w.desiredSize); await w.write(2); await w.close(); await w.closed;
             log.push(await w.write(3).catch(e => e.name));
             const source = () => new ReadableStream({ start(c) { c.enqueue('a'); c.enqueue('b'); c.close(); } });
             await source().pipeTo(new WritableStream(sink));
             const broken = new ReadableStream({ start(c) { c.error('broken'); } });
             log.push(await broken.pipeTo(new WritableStream(sink)).catch(e => e));
             await new WritableStream(sink).abort('why');
             const refusing = new WritableStream({ write() { throw new RangeError('x'); } });
             log.push(await source().pipeTo(refusing).catch(e => e.name), refusing.locked); return log;"),
        r#"[true,1,0,1,2,"close","TypeError","a","b","close","abort broken","broken","abort why","RangeError",false]"#
    );
}

#[test]
fn data_is_compressed_and_decompressed() {
    for format in ["gzip", "deflate", "deflate-raw"] {
        let round = format!(
            "const through = async (stream, it) => new Uint8Array(await new Response(stream.pipeThrough(it)).arrayBuffer());
             const packed = await through(new Blob(['x'.repeat(1000)]).stream(), new CompressionStream('{format}'));
             const unpacked = await through(new Blob([packed]).stream(), new DecompressionStream('{format}'));
             return [packed.length < 100, unpacked.length, unpacked.every(it => it === 120)];"
        );
        assert_eq!(run(&round), "[true,1000,true]", "{format}");
    }
    assert_eq!(
        run("const bad = new Blob(['nonsense']).stream().pipeThrough(new DecompressionStream('gzip'));
             return [await new Response(bad).text().catch(e => e.name),
               (() => { try { new CompressionStream('zip'); } catch (e) { return e.name; } })()]"),
        r#"["TypeError","TypeError"]"#
    );
}

#[test]
fn a_file_reader_reads_a_blob_and_fires_events() {
    assert_eq!(
        run("const log = [], read = (method, blob, ...rest) => new Promise(resolve => {
               const r = new FileReader(); r.onloadend = () => resolve(r.result); r[method](blob, ...rest); });
             const blob = new Blob(['a\\xff'], { type: 'text/plain' });
             log.push(await read('readAsText', blob), await read('readAsDataURL', blob), (await read('readAsArrayBuffer', blob)).byteLength,
               (await read('readAsBinaryString', blob)).length, await read('readAsText', new Blob([new Uint8Array([0xe9])]), 'latin1'));
             const r = new FileReader();
             for (const type of ['loadstart', 'progress', 'load', 'abort', 'loadend'])
               r.addEventListener(type, e => log.push(`${type} ${r.readyState} ${e.loaded}`));
             r.readAsText(blob); try { r.readAsText(blob); } catch (e) { log.push(e.name); }
             await new Promise(resolve => r.addEventListener('loadend', resolve));
             r.readAsText(blob); r.abort(); log.push(r.result); return log;"),
        concat!(
            r#"["aÿ","data:text/plain;base64,YcO/",3,3,"é","InvalidStateError","loadstart 1 0","progress 1 3","#,
            r#""load 2 3","loadend 2 3","abort 2 0","loadend 2 0",null]"#
        )
    );
}

#[test]
fn accessors_on_the_prototype_of_all_objects_do_not_break_streams() {
    assert_eq!(
        run("const seen = [], names = ['closed', 'reader', 'queue', 'done', 'source', 'cursor', 'chunks', 'waiting', 'error', 'writer'];
             for (const name of names) Object.defineProperty(Object.prototype, name,
               { configurable: true, get() { seen.push(name); }, set() { seen.push(name); } });
             try {
               const stream = new ReadableStream({ start(c) { c.enqueue(new Uint8Array([97])); c.close(); } });
               const text = await new Response(stream).text();
               const reader = new ReadableStream({ start(c) { c.close(); } }).getReader();
               await reader.closed;
               return [text, await (await fetch('data:text/plain,x')).text(), seen];
             } finally {
               for (const name of names) delete Object.prototype[name];
             }"),
        r#"["a","x",[]]"#
    );
}
