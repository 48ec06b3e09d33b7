package dev

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Limits and names of a development cluster.
const (
	NodesMax = 9 // so that the ports of one cluster stay within a thousand
	Domain   = "example.test"
	Password = "porcupine" // of every demo user: the cluster listens on loopback only
	Host     = "127.0.0.1"
)

// Ports are where one node listens: base + 100*N + the offset in the comment.
type Ports struct {
	SMTP        int `json:"smtp"`        // 25
	LMTP        int `json:"lmtp"`        // 24
	Submission  int `json:"submission"`  // 87
	Submissions int `json:"submissions"` // 65
	POP3        int `json:"pop3"`        // 10
	POP3S       int `json:"pop3s"`       // 95
	IMAP        int `json:"imap"`        // 43; nothing listens there yet
	HTTP        int `json:"http"`        // 80
	Cluster     int `json:"cluster"`     // 90
}

// PortsOf gives the ports of node number (from 1).
func PortsOf(base, number int) Ports {
	at := base + 100*number
	return Ports{SMTP: at + 25, LMTP: at + 24, Submission: at + 87, Submissions: at + 65, POP3: at + 10,
		POP3S: at + 95, IMAP: at + 43, HTTP: at + 80, Cluster: at + 90}
}

// Node is one node of dev.json.
type Node struct {
	Number int    `json:"number"`
	Name   string `json:"name"` // nodeN
	Dir    string `json:"dir"`
	Config string `json:"config"`
	PID    int    `json:"pid"`
	Ports  Ports  `json:"ports"`
}

// State is dev.json.
type State struct {
	PortBase int    `json:"port_base"`
	Domain   string `json:"domain"`
	Users    int    `json:"users"`
	Password string `json:"password"`
	Nodes    []Node `json:"nodes"`
}

// StateName is the name of the state file in the cluster's directory.
const StateName = "dev.json"

func newNode(dir string, base, number int) Node {
	name := fmt.Sprintf("node%d", number)
	d := filepath.Join(dir, name)
	return Node{Number: number, Name: name, Dir: d, Config: filepath.Join(d, "porcupine.toml"), Ports: PortsOf(base, number)}
}

// LoadState reads dev.json; fs.ErrNotExist is in the chain if there is none.
func LoadState(dir string) (State, error) {
	var s State
	text, err := os.ReadFile(filepath.Join(dir, StateName))
	if err != nil {
		return s, fmt.Errorf("development cluster: %w", err)
	}
	if err := json.Unmarshal(text, &s); err != nil {
		return s, fmt.Errorf("development cluster: %s: %w", StateName, err)
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

// writeConfig makes the node's directory and configuration file. An existing file is kept: it may
// have been edited.
func (n *Node) writeConfig(peers []Node) error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	f, err := os.OpenFile(n.Config, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if os.IsExist(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if _, err := f.WriteString(n.configText(peers)); err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return f.Close()
}

func (n *Node) configText(peers []Node) string {
	var addrs []string
	for _, p := range peers {
		if p.Number != n.Number {
			addrs = append(addrs, fmt.Sprintf("\"%s:%d\"", Host, p.Ports.Cluster))
		}
	}
	at := func(port int) string { return fmt.Sprintf("\"%s:%d\"", Host, port) }
	p := n.Ports
	return fmt.Sprintf(`# A node of a development cluster: loopback only. 'porcupine config' explains every field.
data_dir = "."
name = "%s"
hostname = "%s.%s"

[cluster]
listen = %s
peers = [%s]

[smtp]
listen = %s
lmtp_listen = %s
submission_listen = %s
submissions_listen = %s

[pop3]
listen = %s
tls_listen = %s

[http]
listen = %s

[auth]
# Logins in clear: nothing leaves this machine.
allow_plaintext = true

[store]
min_free = "64MiB"

[limits]
# All clients of a development cluster come from one address.
connections_per_ip = 5000
`, n.Name, n.Name, Domain, at(p.Cluster), strings.Join(addrs, ", "), at(p.SMTP), at(p.LMTP),
		at(p.Submission), at(p.Submissions), at(p.POP3), at(p.POP3S), at(p.HTTP))
}
