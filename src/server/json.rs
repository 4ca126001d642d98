//! Writes JSON objects: for status, events and log lines.

use std::fmt::Write as _;

/// A JSON writer, member by member: for few and plain values, a tree would be larger than the text.
#[derive(Debug)]
pub struct Json {
    text: String,
    /// The next member needs no comma.
    is_first: bool,
}

impl Default for Json {
    fn default() -> Self {
        Json { text: "{".to_owned(), is_first: true }
    }
}

impl Json {
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_first) {
            self.text.push(',');
        }
        if !name.is_empty() {
            self.string(name);
            self.text.push(':');
        }
    }

    fn string(&mut self, text: &str) {
        self.text.push('"');
        for c in text.chars() {
            let _ = match c {
                '"' | '\\' => write!(self.text, "\\{c}"),
                c if c.is_control() => write!(self.text, "\\u{:04x}", u32::from(c)),
                c => write!(self.text, "{c}"),
            };
        }
        self.text.push('"');
    }

    /// A member that is a string.
    pub fn text(&mut self, name: &str, text: &str) {
        self.name(name);
        self.string(text);
    }

    pub(super) fn optional_text(&mut self, name: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(name, text),
            None => self.number(name, None::<u64>),
        }
    }

    /// A member that is a number, or null.
    pub fn number(&mut self, name: &str, number: Option<impl std::fmt::Display>) {
        self.name(name);
        let _ = match number {
            Some(number) => write!(self.text, "{number}"),
            None => write!(self.text, "null"),
        };
    }

    pub(super) fn texts(&mut self, name: &str, texts: &[String]) {
        self.open(name, '[');
        for text in texts {
            self.text("", text);
        }
        self.close(']');
    }

    /// A member that is true or false.
    pub fn flag(&mut self, name: &str, flag: bool) {
        self.number(name, Some(flag));
    }

    pub(super) fn open(&mut self, name: &str, bracket: char) {
        self.name(name);
        self.text.push(bracket);
        self.is_first = true;
    }

    pub(super) fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.is_first = false;
    }

    /// The object, with a line feed.
    #[must_use]
    pub fn finish(mut self) -> String {
        self.text.push_str("}\n");
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_json_whatever_a_name_holds() {
        let mut json = Json::default();
        json.text("a\"b\\", "x\ny\u{1}é");
        json.open("list", '[');
        json.open("", '{');
        json.number("none", None::<u64>);
        json.close('}');
        json.open("", '{');
        json.flag("yes", true);
        json.close('}');
        json.close(']');
        json.number("n", Some(-5));
        let text = json.finish();
        assert_eq!(
            text,
            "{\"a\\\"b\\\\\":\"x\\u000ay\\u0001é\",\"list\":[{\"none\":null},{\"yes\":true}],\"n\":-5}\n"
        );
        assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    }
}
