//! The configuration's member `places`: the source of answers to WHATSAT.
//!
//! Reads its members, and checks their relations and the files that they name. The result is
//! [`places::Settings`](crate::places::Settings). This module uses no network, and its messages never contain a key.

use std::path::PathBuf;

use super::finding::Findings;
use super::json::{self, Raw};
use super::read::{Member, Reader};
use super::{At, Environment};
use crate::files::open_regular;
use crate::places::{
    Endpoint, Key, ProxyUrl, QUERIES_PER_MINUTE_MAX, Settings, Source, WORKERS_MAX, check_url,
    sends_key_in_clear,
};

/// The smallest `timeout_ms`: a shorter limit fails on every board.
const TIMEOUT_MS_MIN: u32 = 100;
/// The largest `timeout_ms`: a client must not wait longer.
const TIMEOUT_MS_MAX: u32 = 60_000;
/// The largest `cache_s`: a day, since places change.
const CACHE_S_MAX: u32 = 86_400;

/// Members that only a network source uses.
const UPSTREAM_ONLY: [&str; 8] =
    ["url", "key_file", "fallback", "workers", "cache_s", "proxy", "ca_file", "queries_per_minute"];

/// The kinds of sources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    #[default]
    Offline,
    Google,
    GoogleLegacy,
}

/// The member `places` as written; its paths are relative to the configuration's folder already.
#[derive(Clone, Debug, Default)]
pub(super) struct PlacesSpec {
    kind: Kind,
    /// The line of `source`, or else of the whole member.
    line: Option<usize>,
    file: Option<At<PathBuf>>,
    url: Option<(String, usize)>,
    key_file: Option<At<PathBuf>>,
    ca_file: Option<At<PathBuf>>,
    falls_back: bool,
    proxy: Option<ProxyUrl>,
    timeout_ms: Option<u32>,
    workers: Option<u32>,
    cache_s: Option<u32>,
    queries_per_minute: Option<u32>,
    /// The members of [`UPSTREAM_ONLY`] in the file, with their lines.
    upstream_only: Vec<(&'static str, usize)>,
}

impl<'a> Reader<'a> {
    /// Reads the member `places`.
    pub(super) fn places(&mut self, value: Raw<'a>) {
        let mut known = vec!["source", "file", "timeout_ms"];
        known.extend(UPSTREAM_ONLY);
        self.config.places.line = Some(self.document.line(value.get()));
        for member in self.known_members(value, "places", &known) {
            let (name, _, line) = &member;
            if let Some(name) = UPSTREAM_ONLY.iter().find(|known| *known == name) {
                self.config.places.upstream_only.push((name, *line));
            }
            self.places_member(member);
        }
    }

    fn places_member(&mut self, (name, value, line): Member<'a>) {
        let member = format!("places.{name}");
        let milliseconds = TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX;
        match name.as_ref() {
            "source" => {
                let known = [
                    ("offline", Kind::Offline),
                    ("google", Kind::Google),
                    ("google-legacy", Kind::GoogleLegacy),
                ];
                self.config.places.line = Some(line);
                self.config.places.kind = self.choice(value, &member, &known).unwrap_or_default();
            }
            "file" => self.config.places.file = self.path(value, &member),
            "key_file" => self.config.places.key_file = self.path(value, &member),
            "ca_file" => self.config.places.ca_file = self.path(value, &member),
            "fallback" => {
                self.config.places.falls_back =
                    self.choice(value, &member, &[("offline", true)]).unwrap_or(false);
            }
            "timeout_ms" => {
                self.config.places.timeout_ms = self.number(value, &member, "milliseconds", milliseconds);
            }
            "workers" => {
                let most = u32::try_from(WORKERS_MAX).unwrap_or(u32::MAX);
                self.config.places.workers = self.number(value, &member, "threads", 1..=most);
            }
            "cache_s" => self.config.places.cache_s = self.number(value, &member, "seconds", 0..=CACHE_S_MAX),
            "queries_per_minute" => {
                self.config.places.queries_per_minute =
                    self.number(value, &member, "queries", 1..=QUERIES_PER_MINUTE_MAX);
            }
            "proxy" => {
                self.config.places.proxy = self.checked_text(value, &member, ProxyUrl::new);
            }
            _ => {
                debug_assert_eq!(name, "url", "every known member is read");
                let url = self.checked_text(value, &member, |text| check_url(text).map(|()| text.to_owned()));
                self.config.places.url = url.map(|url| (url, line));
            }
        }
    }

    /// A text that `check` accepts. Messages never quote it: it may contain a password.
    fn checked_text<T>(
        &mut self,
        value: Raw<'_>,
        member: &str,
        check: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let Some(text) = json::string(value) else {
            self.wrong_kind(value, member, "a string");
            return None;
        };
        let line = self.document.line(value.get());
        check(&text).map_err(|message| self.error(line, member, message, "")).ok()
    }
}

impl PlacesSpec {
    /// The places file that the node will read, and the line that names it.
    pub(super) fn wanted_file(&self, environment: &Environment) -> Option<(PathBuf, Option<usize>)> {
        let is_wanted = self.kind == Kind::Offline || self.falls_back;
        let named = self.file.as_ref().map(|file| (file.value.clone(), Some(file.line)));
        named.or_else(|| environment.places_file().map(|file| (file, None))).filter(|_| is_wanted)
    }
}

/// Checks the settings; every file that the node will read must exist.
pub(super) fn check(spec: &PlacesSpec, environment: &Environment, findings: &mut Findings) -> Settings {
    for (member, file) in [("places.file", &spec.file), ("places.ca_file", &spec.ca_file)] {
        if let Some(file) = file
            && let Err(error) = open_regular(&file.value)
        {
            let message = format!("{}: {error}", file.value.display());
            findings.error(Some(file.line), member, message, "");
        }
    }
    let named = spec.file.as_ref().map(|file| file.value.clone());
    let file = named.or_else(|| environment.places_file());
    if spec.kind == Kind::Offline {
        for (name, line) in &spec.upstream_only {
            let message = "the source \"offline\" does not use this member";
            findings.warning(Some(*line), &format!("places.{name}"), message, "remove it");
        }
    }
    if spec.kind != Kind::Offline && spec.url.is_none() && spec.cache_s.is_some_and(|seconds| seconds > 0) {
        let line = spec.upstream_only.iter().find(|(name, _)| *name == "cache_s").map(|(_, line)| *line);
        let message = "Google's terms forbid storing its answers";
        findings.warning(line, "places.cache_s", message, "remove it");
    }
    let needs_file = spec.kind == Kind::Offline || spec.falls_back;
    if needs_file && file.is_none() {
        let message = "no places file found, so the node answers WHATSAT without places";
        findings.warning(
            None,
            "places",
            message,
            "copy data/places.dat to /usr/share/herd/places.dat, or make one with: herd places import",
        );
    }
    let source = match (spec.kind, &file) {
        (Kind::Offline, Some(file)) => Source::Offline { file: file.clone() },
        (Kind::Offline, None) => Source::Missing,
        (Kind::Google, _) => Source::Google(endpoint(spec, environment, findings)),
        (Kind::GoogleLegacy, _) => Source::GoogleLegacy(endpoint(spec, environment, findings)),
    };
    let default = Settings::new(source);
    Settings {
        fallback: file.filter(|_| spec.kind != Kind::Offline && spec.falls_back),
        workers: spec.workers.map_or(default.workers, |workers| workers as usize),
        timeout_ms: spec.timeout_ms.map_or(default.timeout_ms, u64::from),
        cache_s: spec.cache_s.map_or(default.cache_s, u64::from),
        queries_per_minute: spec.queries_per_minute,
        proxy: spec.proxy.clone(),
        ca_file: spec.ca_file.as_ref().map(|file| file.value.clone()),
        ..default
    }
}

/// The upstream and its key, from systemd's credentials or else from `key_file`.
fn endpoint(spec: &PlacesSpec, environment: &Environment, findings: &mut Findings) -> Endpoint {
    if cfg!(not(feature = "upstream")) {
        let message = "this build cannot ask a server for places";
        let remedy = "build herd with the feature \"upstream\", or use the source \"offline\"";
        findings.error(spec.line, "places.source", message, remedy);
        return Endpoint::default();
    }
    let line = spec.key_file.as_ref().map(|file| file.line);
    let read = match (environment.credential("places-key"), &spec.key_file) {
        (Some(credential), _) => Some(Key::read(&credential, false)),
        (None, Some(file)) => Some(Key::read(&file.value, true)),
        (None, None) => None,
    };
    let key = match read {
        Some(Ok(key)) => Some(key),
        Some(Err(message)) => {
            findings.error(line, "places.key_file", message, "");
            None
        }
        // Without a member `url` the source is Google itself. If `url` is there but wrong, the reader has reported it.
        None if !spec.upstream_only.iter().any(|(name, _)| *name == "url") => {
            let message = "Google requires a key, but the configuration names no key file";
            let remedy = "add \"key_file\", or use \"source\": \"offline\"";
            findings.error(spec.line, "places.key_file", message, remedy);
            None
        }
        None => None,
    };
    if let (Some((url, line)), Some(_)) = (&spec.url, &key)
        && sends_key_in_clear(url)
    {
        let message = "the node sends the key over the network unencrypted";
        findings.warning(Some(*line), "places.url", message, "use https");
    }
    if cfg!(not(feature = "tls")) && spec.url.is_none() {
        let message = "this build has no TLS, and Google requires https";
        findings.error(spec.line, "places.source", message, "build herd with the feature \"tls\"");
    }
    Endpoint { url: spec.url.as_ref().map(|(url, _)| url.clone()), key }
}

#[cfg(test)]
#[path = "places_tests.rs"]
mod tests;
