// Layout Instability, for a page that is not rendered: its layout never shifts, so no entry has the type "layout-shift".
// https://wicg.github.io/layout-instability/

internal.performance.supported.push("layout-shift");
