//! The tasks of the listener for phones: one request a connection, a few at a time.

use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use futures_lite::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{
    Body, Decision, Format, HeadState, PHONE_BODY_BYTES, PHONE_BODY_MS_MAX, PHONE_DROPPED_BYTES_MAX,
    PHONE_HEAD_BYTES_MAX, PHONE_HEAD_MS_MAX, PHONE_LARGE_PIECE_MS, PHONE_LARGE_WAIT_MS_MAX, PHONE_REFUSED_MS,
    PHONES_MAX, PhoneGuard, PhoneUpdate, Rejected, Turn, answer, decide, friends, read_head,
};
use crate::server::NodeConfig;
use crate::server::acceptor::{Newcomer, Ticket, answer_few};
use crate::server::limits::PLACE_LOOK_MS;
use crate::server::shared::{NodeRuntime, Server};
use crate::server::tls;
use crate::server::warn_limit::Kind;

/// Room for one read of a head: most requests fit.
const HEAD_PIECE_BYTES: usize = 1024;
/// The most bytes of one read of a body. Then clients have their turn.
const BODY_PIECE_BYTES: usize = 4096;
/// Bytes of a refused body that are read at once.
const DROPPED_PIECE_BYTES: usize = 16 * 1024;
/// The pause after each of these pieces, in milliseconds: no client waits for them.
const DROPPED_PAUSE_MS: u64 = 2;

/// A request that has been read.
struct Request {
    /// The head, and a body that fits behind it.
    bytes: Vec<u8>,
    head_bytes: usize,
    body: LongBody,
}

/// A body that does not fit behind its head.
enum LongBody {
    None,
    Read {
        body: Vec<u8>,
        _turn: Turn<'static>,
    },
    /// It was dropped, and the request is refused.
    Dropped(Rejected, u16),
}

impl PhoneGuard<'_> {
    /// The guard of a node with this configuration.
    fn of(plan: &NodeConfig) -> PhoneGuard<'_> {
        let listener = plan.nodes[plan.me].phones;
        PhoneGuard {
            is_loopback: listener.is_some_and(|address| address.ip().to_canonical().is_loopback()),
            keys: plan.keys.as_ref(),
            settings: &plan.settings.phones,
        }
    }
}

/// Answers for ever.
pub(crate) async fn serve<R: NodeRuntime>(server: &'static Server<R>, listener: R::TcpListener) {
    let accept = || async {
        let accepted = server.runtime.accept(&listener).await;
        let (stream, peer) = accepted.map_err(|error| server.accept_failed("phones", &error)).ok()?;
        let peer = peer.ip().to_canonical();
        Some(Newcomer { stream: (stream, peer), is_local: peer.is_loopback() })
    };
    answer_few(server, (PHONES_MAX, PHONES_MAX), accept, |(stream, peer), ticket| {
        converse(server, stream, peer, ticket)
    })
    .await;
}

/// One connection: a request and its answer.
async fn converse<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: R::TcpStream,
    peer: IpAddr,
    ticket: Ticket,
) -> io::Result<()> {
    // Boxed: the futures around it would hold its room several times.
    let read = Box::pin(async {
        let mut stream = server.in_time(PHONE_HEAD_MS_MAX, tls::accept(server, stream)).await?;
        let request = read_request(server, &mut stream).await?;
        Ok((stream, request))
    });
    let ((mut stream, request), place) = ticket.read(server, read).await?;
    // Between two requests clients have their turn.
    let turn = decision_turn(server).await;
    let text = match place {
        Some(_) => answer_to(server, request, peer),
        None => refusal(server, peer, Rejected::Busy, 503),
    };
    server.runtime.next_turn().await;
    drop(turn);
    let write = async {
        stream.write_all(text.as_bytes()).await?;
        // TLS holds what the client has not read until here.
        stream.close().await
    };
    server.in_time(PHONE_HEAD_MS_MAX, write).await
}

/// Waits for the right to decide.
async fn decision_turn<R: NodeRuntime>(server: &'static Server<R>) -> Turn<'static> {
    loop {
        match server.phones.take_decision() {
            Some(turn) => return turn,
            None => server.runtime.next_turn().await,
        }
    }
}

/// Decides about a request, and gives its updates to the node.
fn answer_to<R: NodeRuntime>(server: &Server<R>, request: Request, peer: IpAddr) -> String {
    let Request { bytes, head_bytes, body: long } = request;
    let (head, short) = bytes.split_at(head_bytes);
    let (began, is_large) = (Instant::now(), matches!(long, LongBody::Read { .. }));
    let body = match &long {
        LongBody::None => short,
        LongBody::Read { body, .. } => body,
        LongBody::Dropped(why, status) => return refusal(server, peer, *why, *status),
    };
    let now = server.driver.clock().now();
    let now_s = now
        .wall_is_trusted
        .then(|| format!("{}.{:03}", now.wall.0 / 1_000_000_000, now.wall.0 / 1_000_000 % 1000));
    let (decision, has_friends) = {
        let plan = server.plan.borrow();
        (decide(head, body, &PhoneGuard::of(&plan), now_s.as_deref()), plan.settings.phones.friends)
    };
    if is_large {
        server.phones.count_large(began, Instant::now());
    }
    let (format, updates, ignored, foreign) = match decision {
        Decision::Refused(why, status) => return refusal(server, peer, why, status),
        Decision::Accepted { format, updates, ignored, foreign } => (format, updates, ignored, foreign),
    };
    let counters = &server.phones.counters;
    counters.count_ignored(ignored);
    counters.count_rejected(Rejected::Token, foreign);
    for PhoneUpdate { name, line, .. } in &updates {
        match server.driver.phone_line(name.as_deref(), peer, line.as_bytes()) {
            true => counters.count_update(format),
            false => counters.count_ahead(),
        }
    }
    server.links.borrow().wake(server.driver.take_wakes());
    server.warned();
    let reporter = updates.first().filter(|_| has_friends && format == Format::OwnTracks);
    let friends = reporter.map(|reporter| {
        server.driver.with_node(|node| friends::answer(node, now.mono.seconds(), reporter.id.as_bytes()))
    });
    answer::accepted(format, friends.as_deref())
}

/// Counts a refusal. Gives its answer.
fn refusal<R: NodeRuntime>(server: &Server<R>, peer: IpAddr, why: Rejected, status: u16) -> String {
    server.phones.counters.count_rejected(why, 1);
    if why == Rejected::Token {
        let message = format!(
            "a report of a phone at {peer} was refused: it has no token, or not its client's (compare with: herd token --phone NAME)"
        );
        server.driver.warnings.warn(Kind::Report, server.driver.clock().steady(), &message);
        server.warned();
    }
    answer::refused(status)
}

/// Reads a request with its body.
async fn read_request<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<Request> {
    let mut bytes = Vec::new();
    let head = server.in_time(PHONE_HEAD_MS_MAX, head_of(server, stream, &mut bytes)).await?;
    let (head_bytes, body) = match head {
        HeadState::Whole(head_bytes, body) => (head_bytes, body),
        HeadState::Refused(why, status) => {
            // Where the body ends is not known. What has come is read, or the answer would be lost.
            let rest = drop_some(server, stream, PHONE_DROPPED_BYTES_MAX);
            let _ = server.in_time(PHONE_REFUSED_MS, rest).await;
            return Ok(Request { bytes, head_bytes: 0, body: LongBody::Dropped(why, status) });
        }
        HeadState::More => return Err(io::ErrorKind::UnexpectedEof.into()),
    };
    let body =
        server.in_time(PHONE_BODY_MS_MAX, body_of(server, stream, &mut bytes, head_bytes, &body)).await?;
    Ok(Request { bytes, head_bytes, body })
}

async fn head_of<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> io::Result<HeadState> {
    loop {
        let start = bytes.len();
        bytes.reserve_exact(HEAD_PIECE_BYTES.min(PHONE_HEAD_BYTES_MAX - start));
        bytes.resize(bytes.capacity().min(PHONE_HEAD_BYTES_MAX), 0);
        let read = stream.read(&mut bytes[start..]).await?;
        bytes.truncate(start + read);
        match read_head(bytes, &PhoneGuard::of(&server.plan.borrow())) {
            HeadState::More if read > 0 => {}
            state => return Ok(state),
        }
    }
}

/// Reads the body behind a head, of which some has come with it: behind the head, into the large buffer, or into nothing.
async fn body_of<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    bytes: &mut Vec<u8>,
    head_bytes: usize,
    body: &Body,
) -> io::Result<LongBody> {
    bytes.truncate(head_bytes.saturating_add(body.bytes));
    let left = |bytes: &Vec<u8>| body.bytes.saturating_sub(bytes.len() - head_bytes);
    if body.expects_continue {
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    if let Some((why, status)) = body.refusal {
        drop_some(server, stream, left(bytes)).await?;
        return Ok(LongBody::Dropped(why, status));
    }
    // The large buffer is for a client that has sent as much as others may without it.
    let own = left(bytes).min((head_bytes + PHONE_BODY_BYTES).saturating_sub(bytes.len()));
    read_exactly(server, stream, bytes, own).await?;
    if left(bytes) == 0 {
        return Ok(LongBody::None);
    }
    let Some(turn) = large_turn(server).await else {
        drop_some(server, stream, left(bytes)).await?;
        return Ok(LongBody::Dropped(Rejected::Busy, 503));
    };
    let mut large = Vec::with_capacity(body.bytes);
    large.extend_from_slice(&bytes[head_bytes..]);
    bytes.truncate(head_bytes);
    while large.len() < body.bytes {
        let piece = (body.bytes - large.len()).min(BODY_PIECE_BYTES);
        server.in_time(PHONE_LARGE_PIECE_MS, read_exactly(server, stream, &mut large, piece)).await?;
        server.runtime.next_turn().await;
    }
    Ok(LongBody::Read { body: large, _turn: turn })
}

/// Waits for the large buffer, while the body waits in the kernel. `None` if another has it too long.
async fn large_turn<R: NodeRuntime>(server: &'static Server<R>) -> Option<Turn<'static>> {
    let until = Instant::now() + Duration::from_millis(PHONE_LARGE_WAIT_MS_MAX);
    loop {
        let turn = server.phones.take_large(Instant::now());
        if turn.is_some() || Instant::now() >= until {
            return turn;
        }
        server.sleep_ms(PLACE_LOOK_MS).await;
    }
}

/// Reads so many bytes more.
async fn read_exactly<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
    left: usize,
) -> io::Result<()> {
    let (mut at, end) = (bytes.len(), bytes.len() + left);
    bytes.reserve_exact(left);
    bytes.resize(end, 0);
    while at < end {
        let piece = at..end.min(at + BODY_PIECE_BYTES);
        match stream.read(&mut bytes[piece]).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => at += read,
        }
        if at < end {
            server.runtime.next_turn().await;
        }
    }
    Ok(())
}

/// Reads so many bytes, or as many as are dropped at most, into nothing.
async fn drop_some<R: NodeRuntime>(
    server: &'static Server<R>,
    stream: &mut (impl AsyncRead + Unpin),
    left: usize,
) -> io::Result<()> {
    let (mut piece, mut left) = (vec![0; DROPPED_PIECE_BYTES.min(left)], left.min(PHONE_DROPPED_BYTES_MAX));
    while left > 0 {
        let most = left.min(piece.len());
        match stream.read(&mut piece[..most]).await? {
            0 => break,
            read => left -= read,
        }
        if left > 0 {
            server.sleep_ms(DROPPED_PAUSE_MS).await;
        }
    }
    Ok(())
}
