package admin

import (
	"context"
	"io"
	"time"

	"porcupine/internal/cluster"
)

// Status is the cluster as one node sees it; every node of an epoch gives the same.
type Status struct {
	Epoch             string         `json:"epoch"`
	Node              cluster.NodeID `json:"node"`          // who answered
	Ready             bool           `json:"ready"`         // the answering node serves clients
	Out               string         `json:"out,omitempty"` // why the answering node takes no part in the cluster now: its disk hangs
	Members           []Member       `json:"members"`
	Absent            []Absent       `json:"absent"`          // nodes that were met before and are not members now
	Aside             []string       `json:"aside,omitempty"` // folders of hard state that the answering node has set aside
	IncompleteBuckets int            `json:"incomplete_buckets"`
	PendingUpdates    int            `json:"pending_updates"` // reports to managers not yet acknowledged
}

// Member is one node of the view. Figures of a member that did not answer are zero and Error
// says why.
type Member struct {
	ID       cluster.NodeID `json:"id"`
	Name     string         `json:"name"`
	Address  string         `json:"address"`
	Machine  string         `json:"machine,omitempty"` // that it shares with other nodes
	Since    string         `json:"since"`
	Buckets  int            `json:"buckets"`
	Load     int            `json:"load"`      // durable commits pending
	DiskFree int64          `json:"disk_free"` // bytes
	DiskFull bool           `json:"disk_full"`
	Objects  int64          `json:"objects"` // that lie on the node: messages, and what ledgers say of folders
	Users    int64          `json:"users"`   // that the node manages
	Version  string         `json:"version"`
	Upkeep   *Upkeep        `json:"upkeep,omitempty"`
	Error    string         `json:"error,omitempty"`
}

// Absent is a known node that is not in the view.
type Absent struct {
	ID      cluster.NodeID `json:"id"`
	Name    string         `json:"name"`
	Address string         `json:"address"`
	Machine string         `json:"machine,omitempty"` // as it was last heard since the process began; empty: none was
	// Sole says that the node may hold profiles or folder trees that lie nowhere else: until it is back, unknown
	// recipients are answered "try later" and not "no such user".
	Sole bool `json:"sole"`
}

// User is one mailbox.
type User struct {
	Address  string    `json:"address"`
	Messages int64     `json:"messages"`
	Bytes    int64     `json:"bytes"`
	Created  time.Time `json:"created"`
	Changed  time.Time `json:"changed"`
	Disabled bool      `json:"disabled"` // may not log in; mail still comes in
	// The user's own limits; 0: the cluster's.
	QuotaBytes    int64 `json:"quota_bytes"`
	QuotaMessages int64 `json:"quota_messages"`
	Copies        int   `json:"copies"` // nodes that each message lies on; 0: the domain's number, or the cluster's
	// CopiesWanted is the number that counts.
	CopiesWanted int `json:"copies_wanted"`
}

// UserDetail is all that is known of a user.
type UserDetail struct {
	User
	SCRAM        bool             `json:"scram"`         // SCRAM-SHA-256 is possible
	ProfileNodes []cluster.NodeID `json:"profile_nodes"` // that the profile lies on
	Mail         []Fragment       `json:"mail"`          // where the messages lie
}

// Fragment is the messages of a user that lie on the same nodes.
type Fragment struct {
	Nodes    []cluster.NodeID `json:"nodes"` // that they are to lie on
	Live     []cluster.NodeID `json:"live"`  // members that hold them now
	Messages int64            `json:"messages"`
	Bytes    int64            `json:"bytes"`
}

// UserChange is what EditUser changes: what is nil stays as it is.
type UserChange struct {
	QuotaBytes    *int64 `json:"quota_bytes,omitempty"` // 0: back to the cluster's limit
	QuotaMessages *int64 `json:"quota_messages,omitempty"`
	Disabled      *bool  `json:"disabled,omitempty"`
	Copies        *int   `json:"copies,omitempty"` // 0: back to the domain's number, or the cluster's
}

// Domain is a domain that the cluster takes mail for.
type Domain struct {
	Domain     string `json:"domain"`
	Postmaster string `json:"postmaster,omitempty"` // who gets postmaster's mail, unless there is such a user
	CatchAll   string `json:"catch_all,omitempty"`  // who gets mail for addresses that nobody has; empty: it is refused
	Copies     int    `json:"copies,omitempty"`     // nodes that each message of its users lies on; 0: the cluster's number
}

// Alias is an address that stands for others.
type Alias struct {
	Address string   `json:"address"`
	Targets []string `json:"targets"`
}

// Directory is what the socket needs of users, domains and aliases. A list is one page, at most limit
// long, in an order that is always the same but not that of names; it goes on after the name given.
type Directory interface {
	AddUser(ctx context.Context, address, password string) error
	// AddUsers makes several users with one password, derived once and stored alike for all.
	// Users that exist are left as they are.
	AddUsers(ctx context.Context, addresses []string, password string) error
	SetPassword(ctx context.Context, address, password string) error
	EditUser(ctx context.Context, address string, change UserChange) error
	RemoveUser(ctx context.Context, address string) error
	ListUsers(ctx context.Context, after string, limit int) ([]User, error)
	ShowUser(ctx context.Context, address string) (UserDetail, error)
	AddDomain(ctx context.Context, d Domain) error
	// SetDomain replaces the settings of a domain: what is empty is removed.
	SetDomain(ctx context.Context, d Domain) error
	RemoveDomain(ctx context.Context, domain string) error
	ListDomains(ctx context.Context, after string, limit int) ([]Domain, error)
	AddAlias(ctx context.Context, alias string, targets []string) error
	RemoveAlias(ctx context.Context, alias string) error
	ListAliases(ctx context.Context, after string, limit int) ([]Alias, error)
}

// Cluster is what both doors need of the node.
type Cluster interface {
	Status(ctx context.Context) (Status, error)
	// Ready is nil when the node serves clients, or says what it waits for.
	Ready() error
	// NewToken makes a single-use token with which one machine may join.
	NewToken(ctx context.Context) (token string, expires time.Time, err error)
	// Forget strikes an absent node, whose disk will not come back, from the known ones. KindInvalid also if fewer nodes are
	// left than copies are wanted, unless fewerCopies says that this is meant.
	Forget(ctx context.Context, id cluster.NodeID, fewerCopies bool) error
}

// Store is what the socket needs of the disk.
type Store interface {
	// Verify reads everything and reports each fault in one line.
	Verify(ctx context.Context, report func(fault string)) error
	Dump(ctx context.Context, w io.Writer) error
}

// PageMax is the longest page of a list.
const PageMax = 1000

// Limits of a request.
const (
	BodyMax     = 1 << 20 // bytes: AddUsersMax addresses of the longest kind
	AddUsersMax = 1000    // users made by one AddUsers
)
