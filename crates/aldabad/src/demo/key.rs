//! The first story: one sealed datagram opens the door.

use aldaba_gate::spa::{DoorTag, Operation};

use super::DemoError;
use super::device::Device;
use super::scene::Scene;

/// The whole configuration, shown as it is used. Keys and registry lie beside it.
const CONFIG: &str = "\
interfaces = [\"srv0\"]

[spa]
port = 42731

[[door]]
name = \"ssh\"
spa = true
ports = [\"2222/tcp\"]
lease = \"3s\"
";
/// What a stranger sends: as long as real ones are, and longer.
const JUNK: [usize; 5] = [1, 144, 168, 200, 1232];

/// Tells it.
pub(super) fn tell(scene: &Scene<'_>) -> Result<(), DemoError> {
    let Scene { story, client, .. } = scene;
    story.chapter("1. Without a firewall, everybody reaches the service on port 2222");
    scene.expect(true)?;
    story.chapter("2. aldabad guards the port");
    let folder = scene.folder.join("key");
    let device = Device::enrolled_at(&folder, CONFIG)?;
    story.say("The client has made a key, of which the server knows the public half. This is one line for each device:");
    story.file(device.line());
    story.say("And this is the server's whole configuration:");
    let mut server = scene.serve(&folder, CONFIG)?;
    story.say("It has made a table of its own in the kernel's firewall, with default drop for port 2222.");
    scene.expect(false)?;
    story.chapter(
        "3. A stranger tries what there is: datagrams at port 42731, of every length that could be right",
    );
    let junk = JUNK.iter().map(|length| Device::junk(*length)).collect::<Result<Vec<_>, _>>()?;
    for datagram in junk {
        heard_nothing(client.send(device.port(), datagram))?;
    }
    story.say("No answer, no line in the log, and for each not more work than one hash. To a stranger the host looks as if");
    story.say("nothing were there.");
    scene.expect(false)?;
    story.chapter("4. The client knocks: one datagram");
    let door = DoorTag::of("ssh").ok_or_else(|| DemoError::NotAsTold("the door has no tag".to_owned()))?;
    let sealed = device.seal(Operation::Open { door, seconds: 0, bound: None })?;
    story.say(
        "(With a server of your own: `aldaba open SERVER`.) This is all that anybody sees of it on the wire:",
    );
    story.bytes(&sealed.datagram);
    story.say(&format!("Client and server call it {}, which is not in it.", sealed.id));
    heard_nothing(client.send(device.port(), sealed.datagram.clone()))?;
    scene.hear(&mut server, "opened door=ssh")?;
    scene.expect(true)?;
    story.chapter("5. Three seconds later the kernel closes the door by itself");
    story.say("The opening is an element with a timeout in a set of the firewall. Were aldabad killed now,");
    story.say("the door would close all the same.");
    scene.expect_its_end(&mut server)?;
    story.say("Somebody has recorded the datagram, and sends it again:");
    heard_nothing(client.send(device.port(), sealed.datagram))?;
    scene.hear(&mut server, "why=repeated")?;
    scene.expect(false)
}

/// The server answers nobody.
fn heard_nothing(answer: std::io::Result<Option<Vec<u8>>>) -> Result<(), DemoError> {
    match answer? {
        None => Ok(()),
        Some(answer) => Err(DemoError::NotAsTold(format!("the server answered with {} bytes", answer.len()))),
    }
}
