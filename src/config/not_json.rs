//! What people save by mistake as a configuration: YAML, JSON with comments, a byte order mark.

/// Whether a file can be read as a configuration at all, by its first bytes: what people save by mistake.
pub(super) fn wrong_language(text: &str) -> Option<(&'static str, &'static str)> {
    if text.starts_with('\u{feff}') {
        return Some(("the file begins with a byte order mark (BOM)", "save it as UTF-8 without BOM"));
    }
    let first = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with('#'))?;
    let is_yaml = first.starts_with("---") || (first.ends_with(':') && !first.starts_with(['{', '[', '"']));
    is_yaml.then_some(("this looks like YAML; the configuration is JSON", "begin it with: { \"nodes\": {"))
}

/// Whether a line of JSON has a comment outside its strings.
pub(super) fn has_comment(line: &str) -> bool {
    let (mut in_string, mut escaped) = (false, false);
    line.bytes().any(|byte| {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
            return false;
        }
        in_string = byte == b'"';
        matches!(byte, b'/' | b'#')
    })
}
