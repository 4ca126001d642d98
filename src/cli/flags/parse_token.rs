//! The flags of `herd token`.

use std::path::PathBuf;

use super::{Command, Given, PhoneApp, TokenOptions, UsageError};
use crate::config::{one_of, quoted};
use crate::proto::fields::ClientId;

impl Given {
    /// `herd token`: each of its flags wants the one before.
    pub(super) fn token(&self, config: Option<PathBuf>) -> Result<Command, UsageError> {
        let text = |name: &'static str| self.flag(name).map(|value| self.text(name, value)).transpose();
        let (phone, url, app) = (text("phone")?, text("url")?, text("qr")?);
        if phone.as_ref().is_some_and(|name| ClientId::parse(name.as_bytes()).is_none()) {
            return Err(
                self.wrong("no client has this name".to_owned(), "use 1 to 64 bytes without white space")
            );
        }
        if phone.as_ref().is_some_and(|name| name.contains('%')) {
            return Err(self.wrong("no phone has this name".to_owned(), "leave out the sign %"));
        }
        if url.as_ref().is_some_and(|url| !url.starts_with("http://") && !url.starts_with("https://")) {
            return Err(self.wrong("--url is not an address".to_owned(), "begin it with http:// or https://"));
        }
        for (has, wants, flag, other) in [
            (url.is_some(), phone.is_some(), "--url", "--phone NAME"),
            (app.is_some(), url.is_some(), "--qr", "--url URL"),
        ] {
            if has && !wants {
                return Err(self.wrong(format!("{flag} belongs to {other}"), &format!("add {other}")));
            }
        }
        let qr = match app {
            None => None,
            Some(app) => {
                Some(PhoneApp::ALL.into_iter().find(|known| known.name() == app).ok_or_else(|| {
                    let remedy = one_of(PhoneApp::ALL.iter().map(|app| app.name()));
                    self.wrong(format!("unknown app {}", quoted(&app)), &remedy)
                })?)
            }
        };
        Ok(Command::Token(TokenOptions { config, phone, url, qr }))
    }
}
