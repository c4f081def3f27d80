//! The demonstration's two hosts: this process is on the server's, a thread of it on the client's.

use std::fs::File;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Duration;

use aldaba_sys::process::{self, Kill};
use aldaba_sys::reexec::{Program, Role, Started, Surroundings};
use aldaba_sys::{clock, namespace};

/// The server's address.
pub(super) const SERVER: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 1);
const CLIENT: Ipv4Addr = Ipv4Addr::new(10, 71, 0, 2);
const PREFIX: u8 = 24;
/// The port of the service.
pub(super) const DEMO_PORT: u16 = 2222;
/// How long the client waits for an answer.
const ANSWER: Duration = Duration::from_millis(300);
/// How long it waits for one that should not come.
const SILENCE: Duration = Duration::from_millis(60);
/// Between two knocks.
const GAP: Duration = Duration::from_micros(300);

type Work = Box<dyn FnOnce() + Send>;

/// The client: a thread in a network namespace of its own, which does what it is sent.
#[derive(Debug)]
pub(super) struct Client {
    work: Sender<Work>,
    namespace: OwnedFd,
}

impl Client {
    /// A client without a cable.
    pub(super) fn start() -> io::Result<Self> {
        let (work, jobs): (Sender<Work>, Receiver<Work>) = channel();
        let (say, hear) = channel();
        thread::spawn(move || {
            let entered = namespace::enter_on_this_thread().and_then(|()| namespace::current());
            if say.send(entered).is_ok() {
                for job in jobs {
                    job();
                }
            }
        });
        let namespace = hear.recv().map_err(io::Error::other)??;
        Ok(Self { work, namespace })
    }

    /// Does something on the client and waits for what comes of it.
    fn on<T: Send + 'static>(&self, job: impl FnOnce() -> T + Send + 'static) -> io::Result<T> {
        let (say, hear) = channel();
        let job = Box::new(move || drop(say.send(job())));
        self.work.send(job).map_err(|_| io::Error::other("the client is gone"))?;
        hear.recv().map_err(io::Error::other)
    }

    /// Whether a connection to this port of the server succeeds and the service answers.
    pub(super) fn reaches(&self, port: u16) -> bool {
        let to = SocketAddr::new(SERVER.into(), port);
        let greeted = move || {
            let mut stream = TcpStream::connect_timeout(&to, ANSWER)?;
            stream.set_read_timeout(Some(ANSWER))?;
            stream.read_exact(&mut [0; 5])
        };
        matches!(self.on(greeted), Ok(Ok(())))
    }

    /// One connection attempt to each of these ports, in order.
    pub(super) fn knock(&self, ports: &[u16]) {
        let ports = ports.to_vec();
        let knock = move || {
            for port in ports {
                // Closed ports refuse at once; a guarded one does not answer. Either way the attempt has been seen.
                TcpStream::connect_timeout(&SocketAddr::new(SERVER.into(), port), Duration::from_millis(20))
                    .ok();
                clock::rest(GAP);
            }
        };
        self.on(knock).ok();
    }

    /// Sends a datagram to this port of the server; what is answered, if anything.
    pub(super) fn send(&self, port: u16, datagram: Vec<u8>) -> io::Result<Option<Vec<u8>>> {
        self.on(move || {
            let socket = UdpSocket::bind((CLIENT, 0))?;
            socket.connect((SERVER, port))?;
            socket.set_read_timeout(Some(SILENCE))?;
            socket.send(&datagram)?;
            let mut answer = vec![0; 1500];
            match socket.recv(&mut answer) {
                Ok(length) => Ok(answer.get(..length).map(<[u8]>::to_vec)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
                // An ICMP message is an answer too.
                Err(error) => Err(error),
            }
        })?
    }

    /// Lets time pass.
    pub(super) fn pause(&self, time: Duration) {
        self.on(move || clock::rest(time)).ok();
    }
}

/// Joins this process's namespace, the server's, and the client's.
pub(super) fn lay_cable(client: &Client) -> io::Result<()> {
    namespace::set_up("lo")?;
    namespace::add_cable("srv0", "cli0", client.namespace.as_fd())?;
    namespace::add_address("srv0", IpAddr::V4(SERVER), PREFIX)?;
    namespace::set_up("srv0")?;
    client.on(|| {
        namespace::add_address("cli0", IpAddr::V4(CLIENT), PREFIX)?;
        namespace::set_up("cli0")
    })?
}

/// The service behind the door: greets whoever reaches it.
#[derive(Debug)]
pub(super) struct Service;

impl Service {
    /// Listens until the process ends.
    pub(super) fn start() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, DEMO_PORT))?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                stream.write_all(b"hello").ok();
            }
        });
        Ok(Self)
    }
}

/// The daemon on the server.
#[derive(Debug)]
pub(super) struct Server {
    process: Started,
    log: PathBuf,
    read: usize,
}

impl Server {
    /// Starts `aldabad run` with this configuration in this folder.
    pub(super) fn start(program: &Program, folder: &Path, config: &str) -> io::Result<Self> {
        let path = folder.join("aldaba.toml");
        std::fs::write(&path, config)?;
        let (log, state, control) = (folder.join("log"), folder.join("state"), folder.join("control.sock"));
        let output = File::create(&log)?;
        let words = [
            "run".as_ref(),
            "--config".as_ref(),
            path.as_os_str(),
            "--state-dir".as_ref(),
            state.as_os_str(),
            "--control".as_ref(),
            control.as_os_str(),
        ];
        let process = program.start(&Role {
            name: "aldabad",
            arguments: &words,
            surroundings: Surroundings::ErrorTo(output.as_fd()),
            descriptors: &[],
        })?;
        Ok(Self { process, log, read: 0 })
    }

    /// Waits until the daemon has said this.
    pub(super) fn wait_for(&self, text: &str, limit: Duration) -> io::Result<()> {
        let start = clock::boottime();
        loop {
            let said = std::fs::read_to_string(&self.log)?;
            if said.contains(text) {
                return Ok(());
            }
            if clock::boottime().saturating_sub(start) > limit {
                let error = format!("the daemon did not say {text:?} in time. It said:\n{said}");
                return Err(io::Error::new(ErrorKind::TimedOut, error));
            }
            clock::rest(Duration::from_millis(10));
        }
    }

    /// What the daemon has said since the last time.
    pub(super) fn news(&mut self) -> Vec<String> {
        let said = std::fs::read_to_string(&self.log).unwrap_or_default();
        let news = said.get(self.read..).unwrap_or_default().lines().map(str::to_owned).collect();
        self.read = said.len();
        news
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        process::signal(self.process.pidfd.as_fd(), Kill::Terminate).ok();
        // The namespaces, and all that is left in them, go with this process.
        clock::rest(Duration::from_millis(200));
        process::signal(self.process.pidfd.as_fd(), Kill::Kill).ok();
    }
}
