package dev

import (
	"fmt"
	"os"
	"strings"
)

// writeConfig makes the node's directory and configuration file. An existing file is kept, since it may
// have been edited; one of a version without IMAP is given its ports.
func (n *Node) writeConfig(peers []Node) error {
	if err := os.MkdirAll(n.Dir, 0o700); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	text := n.configText(peers)
	if old, err := os.ReadFile(n.Config); err == nil {
		if strings.Contains(string(old), "[imap]") {
			return nil
		}
		text = string(old) + n.imapText()
	}
	// In one step: half a file would be kept the next time.
	if err := os.WriteFile(n.Config+".new", []byte(text), 0o600); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	if err := os.Rename(n.Config+".new", n.Config); err != nil {
		return fmt.Errorf("%s: %w", n.Name, err)
	}
	return nil
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
		at(p.Submission), at(p.Submissions), at(p.POP3), at(p.POP3S), at(p.HTTP)) + n.imapText()
}

func (n *Node) imapText() string {
	return fmt.Sprintf("\n[imap]\nlisten = \"%s:%d\"\ntls_listen = \"%s:%d\"\n", Host, n.Ports.IMAP, Host, n.Ports.IMAPS)
}
