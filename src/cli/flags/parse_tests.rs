//! Command lines, right and wrong.

use super::*;

fn parsed(line: &str) -> Result<Command, String> {
    parse(line.split_whitespace().map(OsString::from)).map_err(|error| error.to_string())
}

fn path(name: &str) -> Option<PathBuf> {
    Some(PathBuf::from(name))
}

#[test]
fn commands_that_read_a_configuration_take_one() {
    assert_eq!(
        parsed("token --config m"),
        Ok(Command::Token(TokenOptions { config: path("m"), ..TokenOptions::default() }))
    );
    assert_eq!(parsed("token"), Ok(Command::Token(TokenOptions::default())));
    let set_up = "token --phone ann --url https://hill.example --qr traccar";
    assert_eq!(
        parsed(set_up),
        Ok(Command::Token(TokenOptions {
            config: None,
            phone: Some("ann".to_owned()),
            url: Some("https://hill.example".to_owned()),
            qr: Some(PhoneApp::Traccar),
        }))
    );
    for (arguments, part) in [
        ("token --url https://a", "--url belongs to --phone NAME (add --phone NAME)"),
        ("token --phone a --qr traccar", "--qr belongs to --url URL (add --url URL)"),
        ("token --phone a%b", "no phone has this name (leave out the sign %)"),
        ("token --phone a --url hill", "--url is not an address (begin it with http:// or https://)"),
        ("token --phone a --url http://b --qr osmo", "unknown app \"osmo\" (one of: owntracks, traccar,"),
    ] {
        let error = parsed(arguments).expect_err(arguments).to_string();
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(parsed("check --config m"), Ok(Command::Check { config: path("m"), node: None }));
}

#[test]
fn each_command_is_understood() {
    let info = LevelFilter::Info;
    for (line, command) in [
        ("up", Command::Up { config: None, log_dir: None, log_level: info }),
        (
            "up --log-level=debug --config a.json --log-dir logs",
            Command::Up { config: path("a.json"), log_dir: path("logs"), log_level: LevelFilter::Debug },
        ),
        (
            "serve --supervised Hill --config m",
            Command::Serve {
                name: "Hill".into(),
                config: path("m"),
                log_level: info,
                log_format: LogFormat::Auto,
                supervised: true,
            },
        ),
        (
            "send",
            Command::Send(SendOptions { to: None, config: None, timeout: TIMEOUT_DEFAULT, lines: vec![] }),
        ),
        (
            "send --to Hill --timeout 2.5 a -5 -- --to -h",
            Command::Send(SendOptions {
                to: Some("Hill".into()),
                config: None,
                timeout: Duration::from_millis(2500),
                lines: ["a", "-5", "--to", "-h"].map(OsString::from).to_vec(),
            }),
        ),
    ] {
        assert_eq!(parsed(line), Ok(command), "{line}");
    }
}

#[test]
fn each_question_is_understood() {
    for (line, command) in [
        ("status", Command::Status { name: None, request: Request::Text }),
        ("status Hill --json", Command::Status { name: Some("Hill".into()), request: Request::Json }),
        ("status -v", Command::Status { name: None, request: Request::Verbose }),
        ("status --verbose Hill", Command::Status { name: Some("Hill".into()), request: Request::Verbose }),
        ("status --json -v", Command::Status { name: None, request: Request::Json }),
        ("status --all", Command::Status { name: None, request: Request::HerdText }),
        (
            "status --all --json Hill",
            Command::Status { name: Some("Hill".into()), request: Request::HerdJson },
        ),
        ("clients", Command::Clients(ClientsOptions::default())),
        (
            "clients ann --near -34.5,118,.5 --json --node Hill",
            Command::Clients(ClientsOptions {
                id: Some("ann".into()),
                near: Some(Near { lat_deg: -34.5, lon_deg: 118.0, radius_km: 0.5 }),
                node: Some("Hill".into()),
                json: true,
            }),
        ),
        ("nodes", Command::Nodes(NodesOptions::default())),
        (
            "nodes Hill Smith --json --node Hill",
            Command::Nodes(NodesOptions {
                names: vec!["Hill".into(), "Smith".into()],
                node: Some("Hill".into()),
                json: true,
            }),
        ),
        ("check --config m", Command::Check { config: path("m"), node: None }),
        ("check m --node A", Command::Check { config: path("m"), node: Some("A".into()) }),
        (
            "places near -34.5 -.5 50",
            Command::PlacesNear {
                query: Query { latitude_deg: -34.5, longitude_deg: -0.5, radius_m: 50_000.0, items: 20 },
                file: None,
            },
        ),
        (
            "places near 1 -118.445127 0.5 --file p 7",
            Command::PlacesNear {
                query: Query { latitude_deg: 1.0, longitude_deg: -118.445_127, radius_m: 500.0, items: 7 },
                file: path("p"),
            },
        ),
        ("--version", Command::Print(help::version())),
        ("places -h", Command::Print(help::group("places"))),
        ("help", Command::Print(help::program())),
        ("help up", Command::Print(help::command(&COMMANDS[0], Detail::Long))),
        ("help places", Command::Print(help::group("places"))),
        ("up nonsense --help", Command::Print(help::command(&COMMANDS[0], Detail::Long))),
    ] {
        assert_eq!(parsed(line), Ok(command), "{line}");
    }
}

#[test]
fn imports_are_understood() {
    for (line, command) in [
        (
            "places import --out o --skip-bad US.txt own.csv --base b --admin1 a --columns name=N,id=I --type cafe",
            Command::PlacesImport(Import {
                inputs: vec![("US.txt".into(), Format::GeoNames), ("own.csv".into(), Format::Csv)],
                base: path("b"),
                divisions: vec!["a".into()],
                columns: Columns::parse("name=N,id=I").expect("known roles"),
                kind: kind_of_word("cafe").expect("known"),
                skips_bad: true,
                out: "o".into(),
            }),
        ),
        (
            "places import --format geojson --out o /dev/stdin",
            Command::PlacesImport(Import {
                inputs: vec![("/dev/stdin".into(), Format::GeoJson)],
                base: None,
                divisions: vec![],
                columns: Columns::default(),
                kind: kind_of_word("point_of_interest").expect("known"),
                skips_bad: false,
                out: "o".into(),
            }),
        ),
    ] {
        assert_eq!(parsed(line), Ok(command), "{line}");
    }
}

#[test]
fn wrong_usage_names_the_word_and_what_was_meant() {
    for (line, message) in [
        (
            "",
            "herd: no command (one of: up, serve, init, key, send, status, nodes, clients, check, token, places); see: herd --help",
        ),
        ("srve Hill", "herd: unknown command \"srve\" (did you mean \"serve\"?); see: herd --help"),
        ("frobnicate", "herd: unknown command \"frobnicate\"; see: herd --help"),
        ("--config x up", "herd: unknown flag \"--config\" (the command comes first); see: herd --help"),
        ("places", "herd places: no command (one of: near, import); see: herd places --help"),
        (
            "places imort",
            "herd places: unknown command \"imort\" (did you mean \"import\"?); see: herd places --help",
        ),
        (
            "up --cofnig x",
            "herd up: unknown flag \"--cofnig\" (did you mean \"--config\"?); see: herd up --help",
        ),
        ("up -x", "herd up: unknown flag \"-x\"; see: herd up --help"),
        ("up --config", "herd up: no value for --config FILE; see: herd up --help"),
        ("up --config a --config b", "herd up: --config is given twice; see: herd up --help"),
        ("up Hill", "herd up: unexpected operand \"Hill\" (it takes no operands); see: herd up --help"),
        (
            "up --log-level loud",
            "herd up: unknown level \"loud\" for --log-level (one of: error, warn, info, debug); see: herd up --help",
        ),
        (
            "serve X --log-level dbug",
            "herd serve: unknown level \"dbug\" for --log-level (did you mean \"debug\"?); see: herd serve --help",
        ),
        ("serve", "herd serve: NAME is missing; see: herd serve --help"),
        ("serve A B", "herd serve: unexpected operand \"B\" (NAME); see: herd serve --help"),
        (
            "serve A --supervised=yes",
            "herd serve: unexpected argument for option '--supervised': \"yes\"; see: herd serve --help",
        ),
        ("places near 1 2", "herd places near: KM is missing; see: herd places near --help"),
        (
            "places near 91 2 3",
            "herd places near: \"91\" is not a valid LAT (a number from -90 to 90); see: herd places near --help",
        ),
        ("places near 1 -nan 3", "herd places near: unknown flag \"-n\"; see: herd places near --help"),
        (
            "places near 1 nan 3",
            "herd places near: \"nan\" is not a valid LON (a number from -180 to 180); see: herd places near --help",
        ),
        (
            "places near 1 2 51",
            "herd places near: \"51\" is not a valid KM (a number from 0 to 50); see: herd places near --help",
        ),
        (
            "places near 1 2 3 0",
            "herd places near: \"0\" is not a valid N (a whole number from 1 to 20); see: herd places near --help",
        ),
    ] {
        assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
    }
}

#[test]
fn wrong_imports_name_the_word() {
    for (line, message) in [
        ("places import --out o", "herd places import: FILE... is missing; see: herd places import --help"),
        ("places import x.csv", "herd places import: --out FILE is missing; see: herd places import --help"),
        (
            "places import --out o x.csv x.xml",
            "herd places import: the extension of \"x.xml\" is not that of a known format (give --format, one of: geonames, csv, geojson, pbf); see: herd places import --help",
        ),
        (
            "places import --out o --format geojsn x",
            "herd places import: unknown format \"geojsn\" for --format (did you mean \"geojson\"?); see: herd places import --help",
        ),
        (
            "places import --out o --columns nam=x x.csv",
            "herd places import: \"nam=x\" is not valid in --columns (ROLE=COLUMN,... with each role once: name, lat, lon, type, vicinity, id); see: herd places import --help",
        ),
        (
            "places import --out o --type cafee x.csv",
            "herd places import: unknown type \"cafee\" for --type (the help lists the types); see: herd places import --help",
        ),
    ] {
        assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
    }
}

#[test]
fn every_command_of_the_table_is_built() {
    for entry in COMMANDS {
        let mut line = entry.words.join(" ");
        for flag in entry.flags.iter().filter(|flag| flag.is_required) {
            line.push_str(&format!(" --{} x", flag.name));
        }
        line.push_str(
            &(if entry.words == ["places", "import"] { " x.csv" } else { " 1" })
                .repeat(entry.operand_counts.0),
        );
        assert!(parsed(&line).is_ok(), "{line}");
    }
}

#[test]
fn a_wrong_time_limit_is_answered_by_the_range() {
    let message =
        "herd send: \"0\" is not a valid --timeout (seconds, from 0.1 to 3600); see: herd send --help";
    assert_eq!(parsed("send --timeout 0"), Err(message.to_owned()));
    assert_eq!(TIMEOUT_S, 0.1..=3600.0);
}

#[test]
fn the_short_flag_is_that_of_status() {
    for (line, message) in [
        ("up -v", "herd up: unknown flag \"-v\"; see: herd up --help"),
        ("status -v --verbose", "herd status: --verbose is given twice; see: herd status --help"),
        (
            "status --all -v",
            "herd status: --verbose is not for --all (the herd has no counters); see: herd status --help",
        ),
    ] {
        assert_eq!(parsed(line), Err(message.to_owned()), "{line}");
    }
}
