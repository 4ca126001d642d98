//! A proxy on loopback that does CONNECT and nothing else, and remembers what it was shown.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread::spawn;

/// A proxy on a free port of 127.0.0.1. Its threads end with the connections through it.
pub struct Tunnel {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<u8>>>,
}

impl Tunnel {
    /// Accepts `connections` connections, and leads all of them to `target`, whatever they ask for.
    pub fn start(connections: usize, target: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let seen = Arc::new(Mutex::new(Vec::new()));
        let tunnel = Self { address, seen: Arc::clone(&seen) };
        spawn(move || {
            for client in listener.incoming().take(connections).flatten() {
                let seen = Arc::clone(&seen);
                // Whatever goes wrong here the client sees as a connection that ends.
                spawn(move || lead(client, target, &seen));
            }
        });
        tunnel
    }

    /// Its address, with a name and a password.
    pub fn url(&self) -> String {
        format!("http://user:pass@{}", self.address)
    }

    /// All bytes that clients sent so far, the ones for the proxy and the ones through it.
    pub fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().expect("no panics")).into_owned()
    }
}

fn lead(mut client: TcpStream, target: SocketAddr, seen: &Mutex<Vec<u8>>) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
    }
    seen.lock().expect("no panics").extend_from_slice(&head);
    let mut server = TcpStream::connect(target)?;
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut back_from, mut back_to) = (server.try_clone()?, client.try_clone()?);
    let back = spawn(move || {
        let _ = io::copy(&mut back_from, &mut back_to);
        let _ = back_to.shutdown(Shutdown::Both);
    });
    let mut bytes = [0; 4096];
    loop {
        let count = client.read(&mut bytes).unwrap_or(0);
        if count == 0 {
            break;
        }
        seen.lock().expect("no panics").extend_from_slice(&bytes[..count]);
        server.write_all(&bytes[..count])?;
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = back.join();
    Ok(())
}
