//! Writes the page of a timeline.

use std::io;

use serde::Serialize;

const TEMPLATE: &str = include_str!("page/timeline.html");

/// The parts of the page, which the template names.
const PARTS: [(&str, &str); 8] = [
    ("page.css", include_str!("page/page.css")),
    ("drawing.css", include_str!("page/drawing.css")),
    ("model.js", include_str!("page/model.js")),
    ("shapes.js", include_str!("page/shapes.js")),
    ("drawing.js", include_str!("page/drawing.js")),
    ("details.js", include_str!("page/details.js")),
    ("table.js", include_str!("page/table.js")),
    ("main.js", include_str!("page/main.js")),
];

/// Writes the page with `data`, which it gets as JSON.
pub(super) fn write(data: &impl Serialize, mut writer: impl io::Write) -> io::Result<()> {
    let mut pieces = TEMPLATE.split("{{");
    writer.write_all(pieces.next().unwrap_or_default().as_bytes())?;
    for piece in pieces {
        let (name, rest) = piece.split_once("}}").unwrap_or_default();
        if name == "data" {
            // All `<` of JSON are in strings. Without them nothing in a string can end the element.
            let json = serde_json::to_string(data)?.replace('<', "\\u003c");
            writer.write_all(json.as_bytes())?;
        }
        for (_, part) in PARTS.iter().filter(|(part, _)| *part == name) {
            writer.write_all(part.as_bytes())?;
        }
        writer.write_all(rest.as_bytes())?;
    }
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(data: &str) -> String {
        let mut page = Vec::new();
        write(&data, &mut page).unwrap();
        String::from_utf8(page).unwrap()
    }

    #[test]
    fn the_template_names_each_part_once() {
        for (name, part) in PARTS {
            assert_eq!(TEMPLATE.matches(&format!("{{{{{name}}}}}")).count(), 1, "{name}");
            assert!(page("").contains(part), "{name}");
        }
        assert_eq!(TEMPLATE.matches("{{").count(), PARTS.len() + 1);
    }

    #[test]
    fn no_data_ends_the_element_that_holds_it() {
        let hostile = "</script><img src=x onerror=alert(1)><!--<script>{{main.js}}\u{2028}";
        let page = page(hostile);
        assert!(!page.contains("<img"), "{page}");
        let (_, rest) = page.split_once("id=\"data\">").unwrap();
        let (json, _) = rest.split_once("</script>").unwrap();
        assert_eq!(serde_json::from_str::<String>(json).unwrap(), hostile);
    }

    #[test]
    fn the_page_needs_no_network() {
        let page = page("");
        let addresses = page.match_indices("//").map(|(at, _)| &page[at..]);
        // The name of the namespace of SVG is no address.
        let svg = "//www.w3.org/2000/svg\"";
        for rest in addresses.filter(|rest| !rest.starts_with(svg)) {
            assert!(rest.starts_with("// "), "a comment, and no address: {rest:.40}");
        }
        assert!(page.contains("default-src 'none'"));
    }
}
