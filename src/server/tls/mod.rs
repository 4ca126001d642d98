//! TLS on the node's own listeners, where the configuration asks for it.
//!
//! A thread of its own computes the handshakes: see [`worker`].

mod accept;
mod worker;

pub(crate) use accept::accept;

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
use log::error;
use rustls::ServerConfig;

use crate::config::TlsFiles;
use crate::config::certificate::{self, BadCertificate};

/// What new connections are encrypted with, if they are.
pub(crate) type Certificate = Option<Arc<ServerConfig>>;

/// What the listeners of a node share.
#[derive(Default)]
pub(crate) struct Tls {
    certificate: RefCell<Certificate>,
    /// The thread of handshakes, since the first one.
    thread: RefCell<Option<worker::Steps>>,
}

impl Tls {
    /// Whether new connections are encrypted.
    pub(crate) fn is_on(&self) -> bool {
        self.certificate.borrow().is_some()
    }

    /// Reads these files. An expired certificate is logged; the one that is `in_use` stays, and without one it is used. Nothing else
    /// depends on it: a reload that revokes a node is not refused for it.
    ///
    /// # Errors
    /// What is wrong with the files.
    pub(crate) fn load(files: Option<&TlsFiles>, in_use: Certificate) -> Result<Certificate, BadCertificate> {
        let Some((config, expired)) = files.map(certificate::load).transpose()? else { return Ok(None) };
        match expired {
            Some(expired) => {
                error!("tls: {expired}: phones and browsers refuse it (renew it and reload)");
                Ok(Some(in_use.unwrap_or(config)))
            }
            None => Ok(Some(config)),
        }
    }

    /// What new connections are encrypted with.
    pub(crate) fn in_use(&self) -> Certificate {
        self.certificate.borrow().clone()
    }

    /// Uses this certificate from now on. Gives the one before.
    pub(crate) fn replace(&self, certificate: Certificate) -> Certificate {
        self.certificate.replace(certificate)
    }

    /// The thread of handshakes, which the first one starts.
    fn thread(&self) -> io::Result<worker::Steps> {
        let mut thread = self.thread.borrow_mut();
        match &mut *thread {
            Some(thread) => Ok(thread.clone()),
            none => Ok(none.insert(worker::start()?).clone()),
        }
    }
}

/// A connection with TLS or without.
pub(crate) enum Stream<S> {
    Plain(S),
    Tls(Box<TlsStream<S>>),
}

impl<S: AsFd> AsFd for Stream<S> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Stream::Plain(stream) => stream.as_fd(),
            Stream::Tls(stream) => stream.get_ref().0.as_fd(),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, bytes),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_close(self: Pin<&mut Self>, context: &mut Context) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_close(context),
            Stream::Tls(stream) => Pin::new(stream).poll_close(context),
        }
    }
}
