package config

import (
	"time"
)

// Config is all that one node can be told. The doc tags are the manual: Example prints them.
type Config struct {
	DataDir  string `toml:"data_dir" doc:"Where the node keeps everything: keys, mail, its identity. Made by 'porcupine init' or 'porcupine join'."`
	Name     string `toml:"name" doc:"What people call this node in status and logs. Default: the host name."`
	Machine  string `toml:"machine" doc:"What this node shares with others and may be lost with, if there are such: the name of the computer, when it runs a node for each of its disks, of a rack, or of a host of virtual machines. Two copies of a message do not lie on nodes of one machine while those of another can take one. Default: the node is a machine of its own."`
	Hostname string `toml:"hostname" doc:"The name in SMTP greetings and Received headers. Default: the host name."`

	Cluster Cluster `toml:"cluster" doc:"The other nodes."`
	SMTP    SMTP    `toml:"smtp" doc:"Mail coming in: SMTP from the world, LMTP from a mail server beside us, submission from users."`
	POP3    POP3    `toml:"pop3" doc:"Mail going out to its readers."`
	IMAP    IMAP    `toml:"imap" doc:"Mail that its readers leave where it is."`
	TLS     TLS     `toml:"tls" doc:"The certificate shown to mail clients (not the one between nodes, which takes care of itself)."`
	Auth    Auth    `toml:"auth" doc:"Logins."`
	HTTP    HTTP    `toml:"http" doc:"Metrics, health and status for monitoring. No login: keep it on a private address."`
	Store   Store   `toml:"store" doc:"The disk."`
	Upkeep  Upkeep  `toml:"upkeep" doc:"What nodes do by themselves so that mail stays safe: repair, comparing, evening out. Alike on all nodes."`
	Limits  Limits  `toml:"limits" doc:"Bounds on what clients may take."`
	Log     Log     `toml:"log" doc:"Logs go to standard error."`
}

// Cluster is how the node meets the others.
type Cluster struct {
	Listen    string   `toml:"listen" doc:"Address of the cluster port: mutual TLS between nodes, nothing else."`
	Advertise string   `toml:"advertise" doc:"The address the other nodes reach this port at. Default: listen, or if that names no host, this machine's first address."`
	Peers     []string `toml:"peers" doc:"Cluster addresses of other nodes to look for at start. Nodes that were met before are remembered; this is needed only if all of them have moved."`

	PingInterval Duration `toml:"ping_interval" doc:"How often a node pings its neighbour on the ring."`
	SuspectAfter Duration `toml:"suspect_after" doc:"Silence after which the neighbour is taken for dead and a new view is formed without it."`
	ReplyTimeout Duration `toml:"reply_timeout" doc:"How long a coordinator waits for answers in a membership round, 50ms to 10s; the other times of a round follow from it."`
	ProbeEvery   Duration `toml:"probe_interval" doc:"How often a coordinator looks for nodes that are not in its view (new ones, the other side of a partition)."`

	MessageCopies int `toml:"message_copies" doc:"Nodes that each message lies on, at most 8, unless its user or domain has a number of its own; all that are there while the cluster has fewer. A message is acknowledged when it is durable on all of them, or, when one fails, on another in its place."`
	MinCopies     int `toml:"min_copies" doc:"Nodes that a message must be durable on before it is acknowledged, even when no more can be reached. With fewer the sender is told to try again later. 1 never refuses mail for that; more than 1 never acknowledges what one disk alone holds."`
	ProfileCopies int `toml:"profile_copies" doc:"Nodes that each user, alias and domain lies on, at most 8; fewer while the cluster has fewer nodes."`
	Spread        int `toml:"spread" doc:"Soft limit on the number of nodes that one user's mail is spread over, if each message lay on one node; each further copy adds a node. 2 suits equal machines, about 4 suits mixed ones."`
}

// SMTP is the front end that takes mail.
type SMTP struct {
	Listen            string   `toml:"listen" doc:"SMTP from other mail servers. 'off' closes it; so for every listen."`
	LMTPListen        string   `toml:"lmtp_listen" doc:"LMTP from a mail server on this machine. No login: keep it on a private address."`
	SubmissionListen  string   `toml:"submission_listen" doc:"Submission from users, STARTTLS."`
	SubmissionsListen string   `toml:"submissions_listen" doc:"Submission from users, TLS from the first byte."`
	MessageSizeMax    Size     `toml:"message_size_max" doc:"Largest message taken. Storing it may take nine minutes, since a client waits for ten: 1GiB needs nodes that store 2 MiB/s of one message at least."`
	SpoolMax          Size     `toml:"spool_max" doc:"Disk space for messages that are coming in and not yet stored, beyond those that fit in memory; at least five times message_size_max. One network (an IPv4 address, an IPv6 /64) may have a quarter of it, and all together no more than they leave free above store.min_free. What users submit or append has as much again."`
	RecipientsMax     int      `toml:"recipients_max" doc:"Most recipients of one message."`
	CommandTimeout    Duration `toml:"command_timeout" doc:"Longest wait for a command (RFC 5321 asks for at least 5 minutes)."`
	DataTimeout       Duration `toml:"data_timeout" doc:"Longest silence while a message is coming in."`
}

// POP3 is the front end that gives mail.
type POP3 struct {
	Listen      string   `toml:"listen" doc:"POP3, with STLS."`
	TLSListen   string   `toml:"tls_listen" doc:"POP3 with TLS from the first byte."`
	IdleTimeout Duration `toml:"idle_timeout" doc:"Automatic logout after this much silence (RFC 1939 asks for at least 10 minutes)."`
}

// IMAP is the front end for mail that stays on the cluster.
type IMAP struct {
	Listen      string   `toml:"listen" doc:"IMAP, with STARTTLS."`
	TLSListen   string   `toml:"tls_listen" doc:"IMAP with TLS from the first byte."`
	IdleTimeout Duration `toml:"idle_timeout" doc:"Automatic logout after this much silence (RFC 9051 asks for at least 30 minutes)."`
	Compress    bool     `toml:"compress" doc:"Offer COMPRESS=DEFLATE: less traffic for a megabyte of memory a session. Off by default: what is secret and what a stranger wrote are then compressed together, and the lengths tell of it."`
	IndexMemory Size     `toml:"index_memory" doc:"Memory for the indexes of the mailboxes that this node manages; the longest unused are dropped first, and read again when they are asked for."`
}

// TLS is what mail clients see.
type TLS struct {
	Certificate string `toml:"certificate" doc:"PEM file with the certificate and its chain. Default: a self-signed one, made at each start and renewed."`
	Key         string `toml:"key" doc:"PEM file with its private key."`
}

// Auth is how users prove who they are.
type Auth struct {
	AllowPlaintext  bool     `toml:"allow_plaintext" doc:"Permit logins without TLS. For tests on one machine only: it lets anybody on the network read passwords."`
	CacheTTL        Duration `toml:"cache_ttl" doc:"How long a verified login is remembered in memory, so that it need not be derived again. A changed password is noticed at once."`
	Derivations     int      `toml:"derivations" doc:"Password derivations (19 MiB and some 30 ms each) that may run at once."`
	SCRAMIterations int      `toml:"scram_iterations" doc:"PBKDF2 iterations of the SCRAM-SHA-256 keys made when a password is set. A negative number makes none, and SCRAM is offered to nobody: those whose passwords were set before then log in by PLAIN or LOGIN too."`
}

// HTTP is for monitoring.
type HTTP struct {
	Listen string `toml:"listen" doc:"Address of /metrics, /healthz, /readyz and /status."`
}

// Store is the disk.
type Store struct {
	MinFree  Size `toml:"min_free" doc:"Free space below which the node takes no new mail; reading and deleting go on."`
	VaultFor Term `toml:"vault_for" doc:"How long deleted messages stay on disk, where 'porcupine vault' can get them back; shorter when the disk is nearly full. 'off' keeps none."`
	Cache    Size `toml:"cache" doc:"Memory for the block cache."`
}

// Upkeep is what nodes do by themselves.
type Upkeep struct {
	RepairAfter   Duration `toml:"repair_after" doc:"How long a node may be away before the others make new copies of what it holds."`
	Grace         Duration `toml:"grace" doc:"How long a node may be away before it is removed for good. If it comes back later than that, it sets aside what it has and joins as a new, empty node."`
	RepairRate    int      `toml:"repair_rate" doc:"Objects that one node copies or moves in a second, at most, to repair or to drain."`
	RepairBytes   Size     `toml:"repair_bytes" doc:"Bytes that it copies in a second, at most."`
	Rebalance     Window   `toml:"rebalance" doc:"Time of day, in the machine's time zone, in which disks are evened out, users spread over too many nodes are gathered, and mail of removed users is deleted: \"02:00-05:00\", \"always\" or \"off\"."`
	RebalanceRate int      `toml:"rebalance_rate" doc:"Objects that one node moves in a second, at most, to rebalance, or, at any time of day, because two copies are on one machine."`
	CompareEvery  Duration `toml:"compare_every" doc:"In this time a node compares all it holds with the other copies once."`
	ScrubEvery    Duration `toml:"scrub_every" doc:"In this time a node reads all its contents once, and replaces damaged ones from another copy."`
}

// Limits are the bounds on what clients may take.
type Limits struct {
	Connections      int      `toml:"connections" doc:"Mail connections on this node, all services together. A tenth is kept for each of SMTP, LMTP, submission, POP3 and IMAP, if they are open."`
	ConnectionsPerIP int      `toml:"connections_per_ip" doc:"Mail connections from one IPv4 address or IPv6 /64, all services together."`
	MailboxMessages  int64    `toml:"mailbox_messages" doc:"Messages one user may have, unless the user has a quota of its own."`
	MailboxBytes     Size     `toml:"mailbox_bytes" doc:"Bytes of mail one user may have, unless the user has a quota of its own."`
	ShutdownGrace    Duration `toml:"shutdown_grace" doc:"How long a stopping node lets running sessions finish."`
}

// Log is what the node says.
type Log struct {
	Level  string `toml:"level" doc:"debug, info, warn or error."`
	Format string `toml:"format" doc:"text or json."`
}

// Off as a listen address closes a listener.
const Off = "off"

// Default gives the configuration of a node without a file. hostname is the machine's name,
// stateDir the directory that the node's data directory defaults to.
func Default(hostname, stateDir string) Config {
	return Config{
		DataDir:  stateDir,
		Name:     hostname,
		Hostname: hostname,
		Cluster: Cluster{
			Listen:       ":7190",
			PingInterval: Duration(200 * time.Millisecond), SuspectAfter: Duration(time.Second),
			ReplyTimeout: Duration(400 * time.Millisecond), ProbeEvery: Duration(time.Second),
			MessageCopies: 2, MinCopies: 1, ProfileCopies: 3, Spread: 2,
		},
		SMTP: SMTP{
			Listen: ":25", LMTPListen: "127.0.0.1:24", SubmissionListen: ":587", SubmissionsListen: ":465",
			MessageSizeMax: 50 << 20, SpoolMax: 5 << 30, RecipientsMax: 100,
			CommandTimeout: Duration(5 * time.Minute), DataTimeout: Duration(3 * time.Minute),
		},
		POP3:  POP3{Listen: ":110", TLSListen: ":995", IdleTimeout: Duration(10 * time.Minute)},
		IMAP:  IMAP{Listen: ":143", TLSListen: ":993", IdleTimeout: Duration(30 * time.Minute), IndexMemory: 256 << 20},
		Auth:  Auth{CacheTTL: Duration(5 * time.Minute), Derivations: 4, SCRAMIterations: 600_000},
		HTTP:  HTTP{Listen: "127.0.0.1:7180"},
		Store: Store{MinFree: 1 << 30, VaultFor: Term(3 * 24 * time.Hour), Cache: 64 << 20},
		Upkeep: Upkeep{
			RepairAfter: Duration(time.Minute), Grace: Duration(7 * 24 * time.Hour), RepairRate: 1000, RepairBytes: 64 << 20,
			Rebalance: "02:00-05:00", RebalanceRate: 100, CompareEvery: Duration(time.Hour), ScrubEvery: Duration(7 * 24 * time.Hour),
		},
		Limits: Limits{
			Connections: 10_000, ConnectionsPerIP: 200,
			MailboxMessages: 1_000_000, MailboxBytes: 50 << 30,
			ShutdownGrace: Duration(20 * time.Second),
		},
		Log: Log{Level: "info", Format: "text"},
	}
}
