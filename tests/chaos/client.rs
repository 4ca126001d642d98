//! A client whose node may be stopped, killed or out of reach at any time: nothing here panics for that.
//!
//! Errors are the caller's to judge. An answer that is out of order or malformed is not an error of a connection. It is
//! a fault of the node, and [`Wrong`] has a variant of its own for it.

use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use herd_test_support::is_skew;

/// The reason of a missing answer.
#[derive(Debug)]
pub(crate) enum Wrong {
    /// The connection failed, or the node did not answer in time.
    Gone(io::Error),
    /// The node answered what it must not.
    Answer(String),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Wrong::Gone(error) => write!(f, "no answer: {error}"),
            Wrong::Answer(what) => f.write_str(what),
        }
    }
}

impl From<io::Error> for Wrong {
    fn from(error: io::Error) -> Wrong {
        Wrong::Gone(error)
    }
}

/// A connection to a client port.
pub(crate) struct Line {
    stream: BufReader<TcpStream>,
}

/// Thousands of connections are open at once, and a WHATSAT's answer is read line by line.
const BUFFER_BYTES: usize = 1024;

impl Line {
    pub(crate) fn connect(address: SocketAddr, patience: Duration) -> io::Result<Line> {
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        stream.set_nodelay(true)?;
        Ok(Line { stream: BufReader::with_capacity(BUFFER_BYTES, stream) })
    }

    pub(crate) fn socket(&self) -> &TcpStream {
        self.stream.get_ref()
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_ref().write_all(bytes)
    }

    /// One line of an answer, without its newline.
    pub(crate) fn line(&mut self) -> io::Result<String> {
        let mut line = Vec::new();
        self.stream.read_until(b'\n', &mut line)?;
        match line.pop() {
            Some(b'\n') => Ok(String::from_utf8_lossy(&line).into_owned()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// The rest of a WHATSAT's answer, to the blank line that ends it.
    pub(crate) fn skip_json(&mut self) -> Result<(), Wrong> {
        if self.line()? != "{" {
            return Err(Wrong::Answer("no JSON follows the AT line".to_owned()));
        }
        let mut last = String::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                break;
            }
            last = line;
        }
        if last == "}" { Ok(()) } else { Err(Wrong::Answer(format!("JSON ends in {last:?}"))) }
    }

    /// What answers a WHATSAT that was sent: its AT line; `None` if the client is not known.
    pub(crate) fn whatsat(&mut self, sent: &str) -> Result<Option<String>, Wrong> {
        let first = self.line()?;
        if first == format!("? {sent}") {
            return Ok(None);
        }
        let id = sent.split(' ').nth(1).unwrap_or_default();
        if !first.starts_with("AT ") || first.split(' ').nth(3) != Some(id) {
            return Err(Wrong::Answer(format!("{sent:?} is answered by {first:?}")));
        }
        self.skip_json()?;
        Ok(Some(first))
    }

    /// What answers an IAMAT that was sent to this node.
    pub(crate) fn iamat(&mut self, sent: &str, node: &str) -> Result<String, Wrong> {
        let answer = self.line()?;
        let fields = sent.strip_prefix("IAMAT ").unwrap_or(sent);
        let skew = answer
            .strip_prefix(&format!("AT {node} "))
            .and_then(|rest| rest.strip_suffix(&format!(" {fields}")));
        if skew.is_some_and(is_skew) {
            Ok(answer)
        } else {
            Err(Wrong::Answer(format!("{sent:?} to {node} is answered by {answer:?}")))
        }
    }
}
