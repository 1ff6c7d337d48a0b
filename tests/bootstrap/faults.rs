//! The real agent: it starts, attaches, and leaves nothing behind, whoever dies.

use proto::greeting::{Attach, Attached, VERSION};
use shuttle::bootstrap::{self, Options};
use shuttle::transport::Remote;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

use crate::kit::PATIENCE;

#[test]
fn the_agent_of_this_build_starts_attaches_and_ends_with_its_link() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let ssh_command = ["ssh".to_owned()];
        let options = Options { cache: None, ..Options::new(&ssh_command) };
        let started = bootstrap::start(&Remote::Local, &options).await.unwrap();
        assert_eq!(started.hello.version, VERSION);
        let shuttle::transport::Link { input, output, mut process } = started.link;
        let mut input = pipe::Receiver::from_owned_fd(input).unwrap();
        let mut output = pipe::Sender::from_owned_fd(output).unwrap();
        let attach = Attach {
            version: VERSION,
            features: 0,
            session: [1; 16],
            secret: [2; 32],
            resume: false,
            received: 0,
            window: 65536,
            streams: 10,
        };
        output.write_all(&attach.encode()).await.unwrap();
        let mut attached = [0; Attached::LENGTH];
        tokio::time::timeout(PATIENCE, input.read_exact(&mut attached)).await.unwrap().unwrap();
        assert_eq!(Attached::decode(&attached).unwrap().refusal, 0);
        drop((input, output));
        let exit = tokio::time::timeout(PATIENCE, process.wait()).await.unwrap().unwrap();
        assert_eq!(exit.signal, None, "{exit:?}");
    });
}
