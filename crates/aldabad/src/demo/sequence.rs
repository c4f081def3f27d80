//! The second story: a sequence of ports opens the door.

use std::time::Duration;

use aldaba_sys::files;

use super::DemoError;
use super::scene::Scene;

/// The whole configuration, shown as it is used.
const CONFIG: &str = "\
interfaces = [\"srv0\"]

[[door]]
name = \"ssh\"
sequence = \"7391,2804,8816\"
ports = [\"2222/tcp\"]
lease = \"3s\"
";
/// The ports of that sequence.
const SEQUENCE: [u16; 3] = [7391, 2804, 8816];

/// Tells it.
pub(super) fn tell(scene: &Scene<'_>) -> Result<(), DemoError> {
    let Scene { story, client, .. } = scene;
    story.chapter("6. The other way to knock: a sequence of ports, as knockd has it");
    story.say("No keys, and any old client can do it. The same door, another daemon:");
    let folder = scene.folder.join("sequence");
    files::private_dir(&folder)?;
    let mut server = scene.serve(&folder, CONFIG)?;
    scene.expect(false)?;
    story.chapter("7. A stranger scans: every port from 2800 to 9000, one after the other");
    client.knock(&(2800..9000).collect::<Vec<u16>>());
    client.pause(Duration::from_millis(200));
    story.server_says(&server.news());
    story.say("All three ports of the sequence were among them; but they must come in their order, and any other port");
    story.say("in between cancels the attempt.");
    scene.expect(false)?;
    story.chapter("8. The client knocks: a connection attempt to 7391, to 2804, to 8816");
    story.say(
        "(Anybody could: `aldaba knock SERVER 7391 2804 8816`. All three ports are closed and stay silent.)",
    );
    client.knock(&SEQUENCE);
    scene.hear(&mut server, "opened door=ssh")?;
    scene.expect(true)?;
    story.say("Whoever watches the network can do the same a minute later: that is what keys are better at.");
    story.chapter("9. It closes in the same way");
    scene.expect_its_end(&mut server)
}
