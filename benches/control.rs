//! The control plane under load: writes over 32 gRPC connections, each on disk before its answer, and `DescribeCasters`
//! over all the casters that they made.
//!
//! `cargo bench --bench control [-- CASTERS]` (10,000 when not given); prints a Markdown table. The data directory is
//! made in the system's folder for temporary files: point `TMPDIR` at the disk to be measured.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use onair::api::client::{self, Client};
use onair::api::grpc::pb as v1;
use onair::app::server::Server;
use onair::config::Settings;
use onair::metrics::{Quantiles, Timing};
use onair::time::{Clock, NS_PER_S};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error + Send + Sync>;

const CONNECTIONS: usize = 32;
const READS: usize = 1000;

fn main() {
    let casters = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000);
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    if let Err(error) = runtime.block_on(run(casters)) {
        println!("failed: {error}");
        std::process::exit(1);
    }
}

async fn run(casters: usize) -> Result<(), Failure> {
    let data = std::env::temp_dir().join(format!("onair-control-{}", std::process::id()));
    let settings = Settings {
        max_load_percent: Some(0),
        data: Some(data.clone()),
        http: Some("127.0.0.1:0".parse()?),
        grpc: Some("127.0.0.1:0".parse()?),
        rtmp: Some("127.0.0.1:0".parse()?),
        ..Default::default()
    };
    let server = Server::start(settings.resolve()?).await?;
    let key = server.access_key().ok_or("no access key is an admin's")?;
    let mut clients = Vec::new();
    for _ in 0..=CONNECTIONS {
        clients.push(client::connect(server.grpc_address(), key.id(), key.secret()).await?);
    }
    let mut reader = clients.pop().ok_or("a connection to read with")?;

    println!("| what | calls | calls/s | p50 ms | p99 ms | max ms |");
    println!("| --- | --- | --- | --- | --- | --- |");
    let made = Arc::new(write(&clients, casters, create).await?.print("CreateCaster, durable"));
    let change = {
        let made = Arc::clone(&made);
        move |client, n: usize| modify(client, made[n % made.len()].clone())
    };
    write(&clients, casters, change.clone()).await?.print("UpdateCasterResourceGroup, durable");
    read(&mut reader, READS).await?.print(&format!("DescribeCasters of {casters}, quiet"));
    let is_over = Arc::new(AtomicBool::new(false));
    let busy = tokio::spawn({
        let (clients, is_over) = (clients.clone(), Arc::clone(&is_over));
        async move {
            while !is_over.load(Ordering::Relaxed) {
                write(&clients, CONNECTIONS * 8, change.clone()).await?;
            }
            Ok::<_, Failure>(())
        }
    });
    let beside = read(&mut reader, READS).await;
    is_over.store(true, Ordering::Relaxed);
    busy.await??;
    beside?.print(&format!("DescribeCasters of {casters}, beside 32 writers"));
    server.drain().await;
    std::fs::remove_dir_all(data)?;
    Ok(())
}

/// How long calls took, and what they answered.
struct Measured<T> {
    timing: Timing,
    elapsed_ns: u64,
    answers: Vec<T>,
}

impl<T> Measured<T> {
    fn print(self, what: &str) -> Vec<T> {
        let Quantiles { count, p50_us, p99_us, max_us, .. } = self.timing.quantiles();
        let per_s = count * NS_PER_S / self.elapsed_ns.max(1);
        let ms = |us: u64| us as f64 / 1000.0;
        let (p50, p99, max) = (ms(p50_us), ms(p99_us), ms(max_us));
        println!("| {what} | {count} | {per_s} | {p50:.2} | {p99:.2} | {max:.2} |");
        self.answers
    }
}

/// Makes `calls` calls, each connection one after the other, and measures each.
async fn write<T, F>(
    clients: &[Client],
    calls: usize,
    call: impl Fn(Client, usize) -> F + Clone + Send + 'static,
) -> Result<Measured<T>, Failure>
where
    T: Send + 'static,
    F: Future<Output = Result<T, tonic::Status>> + Send,
{
    let (next, clock) = (Arc::new(AtomicUsize::new(0)), Clock::real());
    let mut tasks = JoinSet::new();
    for client in clients {
        let (client, call, next) = (client.clone(), call.clone(), Arc::clone(&next));
        let clock = clock.clone();
        tasks.spawn(async move {
            let mut done = Vec::new();
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= calls {
                    return Ok::<_, Failure>(done);
                }
                let begun_ns = clock.now_ns();
                let answer = call(client.clone(), n).await?;
                done.push((begun_ns, clock.now_ns(), answer));
            }
        });
    }
    let mut measured = Measured { timing: Timing::default(), elapsed_ns: 0, answers: Vec::new() };
    while let Some(done) = tasks.join_next().await {
        for (begun_ns, ended_ns, answer) in done?? {
            measured.timing.record_between(begun_ns, ended_ns);
            measured.answers.push(answer);
        }
    }
    measured.elapsed_ns = clock.now_ns();
    Ok(measured)
}

async fn create(mut client: Client, n: usize) -> Result<String, tonic::Status> {
    let request = v1::CreateCasterRequest {
        caster_name: format!("caster {n}"),
        client_token: format!("token-{n}"),
        norm_type: Some(1),
        charge_type: "PostPaid".into(),
        ..Default::default()
    };
    Ok(client.create_caster(request).await?.into_inner().caster_id)
}

async fn modify(mut client: Client, caster_id: String) -> Result<(), tonic::Status> {
    let request = v1::UpdateCasterResourceGroupRequest {
        caster_id,
        new_resource_group_id: "rg-another".into(),
    };
    client.update_caster_resource_group(request).await.map(drop)
}

async fn read(client: &mut Client, calls: usize) -> Result<Measured<()>, Failure> {
    let mut measured = Measured { timing: Timing::default(), elapsed_ns: 0, answers: Vec::new() };
    let clock = Clock::real();
    for n in 0..calls {
        let begun_ns = clock.now_ns();
        let request = v1::DescribeCastersRequest {
            page_num: Some(i32::try_from(n % 10 + 1)?),
            ..Default::default()
        };
        client.describe_casters(request).await?;
        measured.timing.record_between(begun_ns, clock.now_ns());
    }
    measured.elapsed_ns = clock.now_ns();
    Ok(measured)
}
