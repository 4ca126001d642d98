use std::thread;

use super::*;
use std::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(10);

/// A connection and the thread of its other end.
fn connected(node: impl FnOnce(TcpStream) + Send + 'static) -> (TcpStream, thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    let address = listener.local_addr().expect("the listener is bound");
    let thread = thread::spawn(move || node(listener.accept().expect("a client comes").0));
    (TcpStream::connect(address).expect("the listener is there"), thread)
}

/// What `herd send` prints, tells and returns when a node behaves like this.
fn sent(
    input: &'static [u8],
    timeout: Duration,
    node: impl FnOnce(TcpStream) + Send + 'static,
) -> (Vec<u8>, String, Result<(), String>) {
    let (stream, node) = connected(node);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut notes = Notes::new(false, false, &mut err);
    let result = exchange(stream, Box::new(input), &mut out, timeout, &mut notes);
    node.join().expect("the node ended well");
    (out, String::from_utf8(err).expect("notes are text"), result)
}

/// Reads to the end of the input, then writes the answers.
fn answering(answers: &'static [u8]) -> impl FnOnce(TcpStream) {
    move |mut stream| {
        stream.read_to_end(&mut Vec::new()).expect("the client sends");
        stream.write_all(answers).expect("the client reads");
    }
}

#[test]
fn more_is_sent_than_any_buffer_holds_and_all_comes_back() {
    let (stream, node) = connected(|stream| {
        let (mut from, mut to) = (&stream, &stream);
        to.write_all(b"? ").and_then(|()| io::copy(&mut from, &mut to)).expect("the client reads");
        to.write_all(b"\n").expect("the client reads");
    });
    // One line, which the node copies as it comes.
    let bytes: Vec<u8> = (0..16_000_000_u32).map(|i| i.to_le_bytes()[1] | 0x80).collect();
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let mut notes = Notes::new(false, false, &mut err);
    exchange(stream, Box::new(io::Cursor::new(bytes.clone())), &mut out, LIMIT, &mut notes)
        .expect("all goes well");
    assert_eq!(notes.rejected, 1);
    assert!(out == [b"? ", &bytes[..], b"\n"].concat());
    node.join().expect("the node ended well");
}

#[test]
fn a_silent_node_times_out() {
    let (_, _, result) = sent(b"x\ny\n", Duration::from_millis(50), |mut stream| {
        stream.read_to_end(&mut Vec::new()).expect("the client sends");
        // Sends no answer and holds the connection until the client closes it.
        let _ = stream.read(&mut [0]);
        thread::sleep(Duration::from_millis(200));
    });
    assert_eq!(result, Err("no answer within 50 ms with 2 of 2 lines unanswered".to_owned()));
}

#[test]
fn every_line_has_a_whole_answer_or_the_command_fails() {
    const AT: &[u8] = b"AT Hill +0.1 a +1+2 3\n";
    let all = sent(b"IAMAT a +1+2 3", LIMIT, answering(AT));
    assert_eq!(all, (AT.to_vec(), String::new(), Ok(())));

    let closed = |with: &str| Err(format!("the node closed the connection with {with} unanswered"));
    let cases: [(&[u8], &[u8], _); 5] = [
        (b"IAMAT a +1+2 3\n", b"", closed("the line")),
        (b"IAMAT a +1+2 3\nIAMAT a +1+2 3\nx\n", AT, closed("2 of 3 lines")),
        (b"IAMAT a +1+2 3\n", b"AT Hill +0.1 a +1", closed("the line")),
        (b"WHATSAT a 10 5\n", b"AT Hill +0.1 a +1+2 3\n{\"results\" : []}\n", closed("the line")),
        (b"WHATSAT a 10 5\n", b"AT Hill +0.1 a +1+2 3\n{\"results\" : []}\n\n", Ok(())),
    ];
    for (lines, answers, expected) in cases {
        let (out, _, result) = sent(lines, LIMIT, answering(answers));
        assert_eq!((out, result), (answers.to_vec(), expected), "{}", lines.escape_ascii());
    }
}

#[test]
fn a_connection_that_ends_at_once_is_a_failure() {
    // The input is still open: a pipe that a user may write to.
    let (reader, _writer) = io::pipe().expect("a pipe can be made");
    let (stream, node) = connected(drop);
    let mut err = Vec::new();
    let mut notes = Notes::new(false, false, &mut err);
    let result = exchange(stream, Box::new(reader), &mut Vec::new(), LIMIT, &mut notes);
    assert_eq!(result, Err("the node closed the connection before the input ended".to_owned()));
    node.join().expect("the node ended well");
}

#[test]
fn a_line_that_is_not_taken_is_explained() {
    let (_, notes, result) =
        sent(b"IAMAT a +34.07 -118.45 1\n", LIMIT, answering(b"? IAMAT a +34.07 -118.45 1\n"));
    assert_eq!(result, Ok(()));
    assert_eq!(notes, "herd send: latitude and longitude must be one field: +34.07-118.45\n");
}

#[test]
fn an_address_is_found_by_number_by_name_by_host_or_by_default() {
    for (to, expected) in [
        (None, "127.0.0.1:8001"),
        (Some("Campbell"), "127.0.0.1:8005"),
        (Some("[::1]:7"), "[::1]:7"),
        (Some("[::1]"), "[::1]:8001"),
        (Some("::1"), "[::1]:8001"),
        (Some("192.168.1.11"), "192.168.1.11:8001"),
        (Some("localhost:8003"), "127.0.0.1:8003"),
    ] {
        let expected: SocketAddr = expected.parse().expect("an address");
        let Ok(found) = addresses(to, None) else { panic!("{to:?} is found") };
        assert!(found.contains(&expected), "{to:?}: {found:?}");
    }
    for (to, remedy) in [
        ("Hil", "did you mean \"Hill\"?"),
        ("", "give the name of a node, or a host or address, with or without a port"),
        ("localhost:x", "give the name of a node, or a host or address, with or without a port"),
    ] {
        let Err(Failure::Usage(message)) = addresses(Some(to), None) else { panic!("{to:?} is unknown") };
        assert_eq!(message, format!("herd send: --to \"{to}\" is unknown ({remedy}); see: herd send --help"));
    }
}

#[test]
fn lines_are_sent_as_they_are() {
    use std::os::unix::ffi::OsStringExt;
    let lines = vec![OsString::from("a  b"), OsString::from_vec(vec![0xff, b'c'])];
    assert_eq!(joined(&lines), b"a  b\n\xffc\n");
}
