//! Handshakes with clients that have connected.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use futures_rustls::TlsAcceptor;
use rustls::{ServerConfig, ServerConnection};

use super::Stream;
use super::worker::step;
use crate::server::shared::{NodeRuntime, Server};

/// Bytes of a handshake that go to the thread at once. A client sends a few hundred, as a rule.
const PIECE_BYTES: usize = 2048;
/// Bytes before the content of a record: its type, a version, and the content's length (RFC 8446, 5.1).
const RECORD_HEAD_BYTES: usize = 5;
/// The types of records: of cipher changes, alerts, handshakes and application data.
const RECORD_TYPES: RangeInclusive<u8> = 20..=23;

/// Does the handshake with a client that has connected, if there is one to do.
pub(crate) async fn accept<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: R::TcpStream,
) -> io::Result<Stream<R::TcpStream>> {
    let certificate = server.tls.certificate.borrow().clone();
    match certificate {
        None => Ok(Stream::Plain(stream)),
        // Boxed, so a connection without TLS does not pay for it.
        Some(config) => Box::pin(handshake(server, config, stream)).await,
    }
}

/// A handshake. The node reads and writes, and another thread computes.
async fn handshake<R: NodeRuntime>(
    server: &'static Server<R>,
    config: Arc<ServerConfig>,
    mut stream: R::TcpStream,
) -> io::Result<Stream<R::TcpStream>> {
    let thread = server.tls.thread()?;
    let mut connection = ServerConnection::new(config.clone()).map_err(io::Error::other)?;
    let mut begins = true;
    while connection.is_handshaking() {
        let bytes = read_record(&mut stream, &mut begins).await?;
        let stepped = step(&thread, connection, bytes).await?;
        stream.write_all(&stepped.bytes).await?;
        stepped.outcome?;
        connection = stepped.connection;
    }
    // Nothing is left to compute: the stream only takes the connection over.
    let accepted = TlsAcceptor::from(config).accept_with(stream, |empty| *empty = connection).await?;
    Ok(Stream::Tls(Box::new(accepted)))
}

/// Reads a whole record, or as much of a longer one as fits. A client that stops half-way costs the thread nothing, and one that has
/// left makes way at once. `begins` says whether a record begins here; where none does, what has come is enough.
async fn read_record(stream: &mut (impl AsyncRead + Unpin), begins: &mut bool) -> io::Result<Vec<u8>> {
    let (mut bytes, mut end) = (vec![0; PIECE_BYTES], 0);
    loop {
        match stream.read(&mut bytes[end..]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => end += read,
        }
        if end == PIECE_BYTES || !*begins || is_record(&bytes[..end]) {
            break;
        }
    }
    bytes.truncate(end);
    *begins = *begins && ends_with_record(&bytes);
    Ok(bytes)
}

/// Whether the bytes are whole records.
fn ends_with_record(mut bytes: &[u8]) -> bool {
    while let Some((head, content)) = bytes.split_first_chunk::<RECORD_HEAD_BYTES>() {
        let length = usize::from(u16::from_be_bytes([head[3], head[4]]));
        let Some(rest) = content.get(length..) else { return false };
        bytes = rest;
    }
    bytes.is_empty()
}

/// Whether the bytes begin with a whole record, or with something else: plain HTTP, say, which is refused at once.
fn is_record(bytes: &[u8]) -> bool {
    if bytes.first().is_some_and(|kind| !RECORD_TYPES.contains(kind)) {
        return true;
    }
    let Some((head, content)) = bytes.split_first_chunk::<RECORD_HEAD_BYTES>() else { return false };
    content.len() >= usize::from(u16::from_be_bytes([head[3], head[4]]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    #[test]
    fn records_are_read_whole() {
        let record = |length: u16| {
            let [high, low] = length.to_be_bytes();
            [vec![22, 3, 1, high, low], vec![7; usize::from(length)]].concat()
        };
        for (sent, expected) in [
            (record(0), Some(5)),
            (record(300), Some(305)),
            (record(300)[..304].to_vec(), None),
            (record(300)[..4].to_vec(), None),
            (Vec::new(), None),
            (b"GET / HTTP/1.1\r\n".to_vec(), Some(16)),
            (record(u16::MAX), Some(PIECE_BYTES)),
            ([record(3), record(300)[..9].to_vec()].concat(), Some(17)),
        ] {
            let read = block_on(read_record(&mut &sent[..], &mut true)).ok();
            assert_eq!(read.map(|bytes| bytes.len()), expected, "{} bytes", sent.len());
        }
    }

    #[test]
    fn the_rest_of_a_record_is_no_head() {
        let long = [&[22, 3, 1, 16, 0][..], &[23; 4096]].concat();
        let (mut stream, mut begins) = (&long[..], true);
        let mut pieces = Vec::new();
        while let Ok(piece) = block_on(read_record(&mut stream, &mut begins)) {
            pieces.push(piece.len());
        }
        assert_eq!(pieces, [PIECE_BYTES, PIECE_BYTES, 5]);
        let two = [22, 3, 1, 0, 1, 9, 20, 3, 3, 0, 1, 1];
        for (end, is_whole) in [(12, true), (6, true), (0, true), (5, false), (8, false), (11, false)] {
            assert_eq!(ends_with_record(&two[..end]), is_whole, "{end}");
        }
    }
}
