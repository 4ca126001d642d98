//! OwnTracks in HTTP mode: one JSON object a request (<https://owntracks.org/booklet/tech/json/>).

use serde_json::value::RawValue;

use super::credentials::Credentials;
use super::form::Fields;
use super::request::Head;
use super::{Content, Format, Ignored, fix};
use crate::places::json;
use crate::server::iamat::{self, degrees, id_of_device};

/// The device of a message that names none.
const DEVICE: &str = "phone";

/// The members of a message that count.
#[derive(Debug, Default)]
pub(super) struct Message {
    kind: String,
    lat_deg: Option<f64>,
    lon_deg: Option<f64>,
    time: Option<String>,
    topic: Option<String>,
    /// A herd made it, and its bridge published it.
    is_of_herd: bool,
}

impl Message {
    /// Reads an object, and hands on the members that are not of a message. `None` for anything else.
    pub(super) fn read<'a>(text: &'a str, mut other: impl FnMut(&str, &'a RawValue)) -> Option<Self> {
        let mut message = Message::default();
        let read = json::members(text, |name, value| match &*name {
            "_type" => message.kind = json::string(value).unwrap_or_default(),
            "lat" => message.lat_deg = degrees(value.get()),
            "lon" => message.lon_deg = degrees(value.get()),
            "tst" => message.time = iamat::time(value.get()),
            "topic" => message.topic = json::string(value),
            "herd" => message.is_of_herd = true,
            name => other(name, value),
        });
        read.ok().map(|()| message)
    }

    /// What it says.
    pub(super) fn content(self, head: &Head, credentials: &Credentials) -> Content {
        let outcome = match &*self.kind {
            "location" if !self.is_of_herd => fix(self.lat_deg, self.lon_deg, self.time),
            "encrypted" => Err(Ignored::Encrypted),
            _ => Err(Ignored::Type),
        };
        Content::of_one(Format::OwnTracks, id(head, credentials, self.topic.as_deref()), outcome)
    }
}

/// What JSON says that cannot be read.
pub(super) fn unreadable(head: &Head, credentials: &Credentials) -> Content {
    Content::of_one(Format::OwnTracks, id(head, credentials, None), Err(Ignored::Json))
}

/// What a request without body and query says.
pub(super) fn empty(head: &Head, credentials: &Credentials) -> Content {
    Content::of_one(Format::OwnTracks, id(head, credentials, None), Err(Ignored::Type))
}

/// The client's id: the user that has authenticated, or that the request names; and the device.
fn id(head: &Head, credentials: &Credentials, topic: Option<&str>) -> Option<String> {
    let mut levels = topic.unwrap_or_default().rsplit('/');
    let (last, before) = (levels.next(), levels.next());
    let (topic_device, topic_user) = if before.is_some() { (last, before) } else { (None, None) };
    let fields = Fields::of(b"", head.query);
    let (query_user, query_device) = (fields.value(&["u"]), fields.value(&["d"]));
    let users = [credentials.user.as_deref(), head.limit_user, query_user.as_deref(), topic_user];
    let devices = [head.limit_device, query_device.as_deref(), topic_device, Some(DEVICE)];
    let first = |names: [Option<&str>; 4]| {
        names.into_iter().flatten().find(|name| !name.is_empty()).map(str::to_owned)
    };
    id_of_device(&first(users)?, &first(devices)?)
}
