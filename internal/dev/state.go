package dev

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Limits and names of a development cluster.
const (
	NodesMax        = 9 // so that the ports of one cluster stay within a thousand
	UsersMax        = 100_000
	PortBaseDefault = 10000
	Domain          = "example.test"
	Password        = "porcupine" // of every demo user: the cluster listens on loopback only
	Host            = "127.0.0.1"
)

// Ports are where one node listens: base + 100*N + the offset in the comment.
type Ports struct {
	SMTP        int `json:"smtp"`        // 25
	LMTP        int `json:"lmtp"`        // 24
	Submission  int `json:"submission"`  // 87
	Submissions int `json:"submissions"` // 65
	POP3        int `json:"pop3"`        // 10
	POP3S       int `json:"pop3s"`       // 95
	IMAP        int `json:"imap"`        // 43
	IMAPS       int `json:"imaps"`       // 93
	HTTP        int `json:"http"`        // 80
	Cluster     int `json:"cluster"`     // 90
}

// PortsOf gives the ports of node number (from 1).
func PortsOf(base, number int) Ports {
	at := base + 100*number
	return Ports{SMTP: at + 25, LMTP: at + 24, Submission: at + 87, Submissions: at + 65, POP3: at + 10,
		POP3S: at + 95, IMAP: at + 43, IMAPS: at + 93, HTTP: at + 80, Cluster: at + 90}
}

// portBaseMax leaves room for the last port of the last node.
const portBaseMax = 65535 - 100*NodesMax - 99

// Node is one node of dev.json.
type Node struct {
	Number int    `json:"number"`
	Name   string `json:"name"` // nodeN
	Dir    string `json:"dir"`
	Config string `json:"config"`
	// PID is the process that `porcupine dev` started last, 0 when that has stopped. A node started
	// by hand is not here: its own pid file, Dir/pid, always tells who runs.
	PID   int   `json:"pid"`
	Ports Ports `json:"ports"`
}

func newNode(dir string, base, number int) Node {
	n := Node{Number: number, Name: fmt.Sprintf("node%d", number), Ports: PortsOf(base, number)}
	n.place(dir)
	return n
}

// place says where the cluster's directory is now: it may have been moved.
func (n *Node) place(dir string) {
	n.Dir = filepath.Join(dir, n.Name)
	n.Config = filepath.Join(n.Dir, "porcupine.toml")
}

// State is dev.json.
type State struct {
	PortBase int    `json:"port_base"`
	Domain   string `json:"domain"`
	Users    int    `json:"users"`
	Password string `json:"password"`
	Nodes    []Node `json:"nodes"` // node N at N-1
}

// Files in the cluster's directory.
const (
	StateName   = "dev.json"
	lockName    = "dev.lock"         // held while dev.json is read, changed and written
	runningName = "dev.running.lock" // held while `porcupine dev` runs
)

// LoadState reads dev.json; fs.ErrNotExist is in the chain if there is none.
func LoadState(dir string) (State, error) {
	var s State
	text, err := os.ReadFile(filepath.Join(dir, StateName))
	if err != nil {
		return s, fmt.Errorf("development cluster: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("development cluster: %s: %w", filepath.Join(dir, StateName), err)
	}
	for i := range s.Nodes {
		if s.Nodes[i].Number != i+1 || i >= NodesMax {
			return s, fmt.Errorf("development cluster: %s: the nodes are not numbered from 1 to at most %d", filepath.Join(dir, StateName), NodesMax)
		}
		s.Nodes[i].Name = fmt.Sprintf("node%d", i+1)
		s.Nodes[i].place(dir)
	}
	return s, nil
}

// save replaces dev.json in one step: a reader never sees half of it.
func (s *State) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("development cluster: %w", err)
	}
	path := filepath.Join(dir, StateName)
	if err := os.WriteFile(path+".new", append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("development cluster: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("development cluster: %w", err)
	}
	return nil
}

// update changes dev.json, which several processes may do at the same time: `dev` and `dev --add`.
// Without a file it begins with the empty state. It gives the state as written.
func update(dir string, change func(*State) error) (State, error) {
	unlock, err := lock(filepath.Join(dir, lockName), syscall.LOCK_EX)
	if err != nil {
		return State{}, fmt.Errorf("development cluster: %w", err)
	}
	defer unlock()
	s, err := LoadState(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, err
	}
	if err := change(&s); err != nil {
		return s, err
	}
	return s, s.save(dir)
}

// errRunning says that another `porcupine dev` has the directory.
var errRunning = errors.New("a development cluster runs in this directory already: stop it there with Ctrl-C, add to it with --add, or choose another --dir and --port-base")

// lockRunning makes this process the one that runs the directory's cluster.
func lockRunning(dir string) (unlock func(), err error) {
	unlock, err = lock(filepath.Join(dir, runningName), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = errRunning
	}
	return unlock, err
}

// lock takes an advisory lock that ends with unlock or with the process, however that ends.
func lock(path string, how int) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), how); err != nil {
		return nil, errors.Join(fmt.Errorf("lock %s: %w", path, err), f.Close())
	}
	// Closing gives the lock back; nothing was written that could fail to arrive.
	return func() { _ = f.Close() }, nil
}
