//! What stands for TLS in a build without it: a connection is as it comes. The configuration refuses `tls` there.

use std::io;

use super::shared::{NodeRuntime, Server};
use crate::config::TlsFiles;

/// The certificate that does not exist.
pub(crate) struct Certificate;

/// Nothing to share.
#[derive(Default)]
pub(crate) struct Tls {}

impl Tls {
    /// Whether new connections are encrypted.
    pub(crate) fn is_on(&self) -> bool {
        false
    }

    /// Nothing to read.
    pub(crate) fn load(_: Option<&TlsFiles>, _: Option<Certificate>) -> Result<Certificate, String> {
        Ok(Certificate)
    }

    /// Nothing is.
    pub(crate) fn in_use(&self) -> Option<Certificate> {
        None
    }

    /// Nothing to use.
    pub(crate) fn replace(&self, certificate: Certificate) -> Certificate {
        certificate
    }
}

/// The connection as it is.
pub(crate) async fn accept<R: NodeRuntime>(
    _: &'static Server<R>,
    stream: R::TcpStream,
) -> io::Result<R::TcpStream> {
    Ok(stream)
}
