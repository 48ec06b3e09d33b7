package test

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/cluster"
	"porcupine/internal/cluster/identity"
	"porcupine/internal/cluster/transport"
	"porcupine/internal/cluster/wire/call"
	"porcupine/internal/dev"
)

// TestAttack38_ClusterPort: whoever is no node of the cluster gets no word out of its port, and the
// nodes do not notice: same view, same service.
func TestAttack38_ClusterPort(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 2, 1)
	before := c.await(1, "a cluster at rest", settled(2))
	addr := at(c.node(1).Ports.Cluster)

	stranger, err := identity.Init(&identity.MemFiles{}, identity.Options{})
	if err != nil {
		t.Fatal(err)
	}
	foreign := stranger.ClientTLS(cluster.NoNode)
	foreign.VerifyConnection = nil // it would refuse the server; here the server is to refuse it
	none := &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}}
	old := none.Clone()
	old.MaxVersion = tls.VersionTLS12
	web := none.Clone()
	web.NextProtos = []string{"http/1.1"}
	join := none.Clone()
	join.NextProtos = []string{identity.JoinProtocol}
	for name, cfg := range map[string]*tls.Config{
		"a node of another cluster": foreign, "no certificate": none, "TLS 1.2": old, "a web browser": web, "a join without a token": join,
	} {
		if got := sayOverTLS(t, addr, cfg, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"); got != "" {
			t.Errorf("%s heard %q, want nothing", name, got)
		}
	}
	for name, text := range map[string]string{
		"plain HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"plain HTTP/1": "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"zeros":        strings.Repeat("\x00", 1<<20),
		"half a hello": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
	} {
		conn := dial(t, c.node(1).Ports.Cluster)
		_, _ = io.WriteString(conn, text) // the node may hang up first
		if err := conn.(*net.TCPConn).CloseWrite(); err != nil && !errors.Is(err, net.ErrClosed) && !isReset(err) {
			t.Fatal(err)
		}
		// A TLS alert is all that a stranger may hear: seven bytes.
		if got, _ := io.ReadAll(conn); len(got) > 7 {
			t.Errorf("%s heard %q, want an alert at most", name, got)
		}
		conn.Close()
	}
	for range 100 { // that say nothing at all
		dial(t, c.node(1).Ports.Cluster)
	}

	send(t, at(c.node(2).Ports.SMTP), "u0@example.test", "Subject: after\r\n\r\nx\r\n")
	after := c.await(1, "a cluster at rest", settled(2))
	if before.Epoch != after.Epoch {
		t.Errorf("strangers moved the cluster from epoch %s to %s", before.Epoch, after.Epoch)
	}
}

func isReset(err error) bool {
	return strings.Contains(err.Error(), "reset by peer") || strings.Contains(err.Error(), "not connected") || strings.Contains(err.Error(), "broken pipe")
}

// sayOverTLS connects, says something and gives what it hears before the connection ends.
func sayOverTLS(t *testing.T, addr string, cfg *tls.Config, text string) string {
	t.Helper()
	raw, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, cfg)
	if conn.Handshake() != nil {
		return ""
	}
	_, _ = io.WriteString(conn, text) // with TLS 1.3 the refusal comes after the handshake
	got, err := io.ReadAll(conn)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return "no end of the connection"
	}
	return string(got)
}

// TestAttack38_Tokens: a token works once; what is not a token does not work; a machine that has
// joined cannot join again. By the command line, as an administrator does it.
func TestAttack38_Tokens(t *testing.T) {
	t.Parallel()
	n := startNode(t, "")
	out, err := exec.Command(program, "token", "--config", n.conf).Output()
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(string(out))
	join := func(dir, token string) (string, error) {
		conf := filepath.Join(t.TempDir(), "porcupine.toml")
		if err := os.WriteFile(conf, []byte("data_dir = "+strconv.Quote(dir)+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(program, "join", "--config", conf)
		cmd.Stdin = strings.NewReader(token + "\n")
		text, err := cmd.CombinedOutput()
		return string(text), err
	}
	wrong := []byte(token)
	wrong[len(wrong)-1] ^= 1
	if text, err := join(t.TempDir(), string(wrong)); err == nil {
		t.Errorf("join with a wrong token: %s", text)
	}
	first := t.TempDir()
	if text, err := join(first, token); err != nil || !strings.Contains(text, "porcupine serve --config") {
		t.Errorf("join = %v: %s", err, text)
	}
	if text, err := join(t.TempDir(), token); err == nil {
		t.Errorf("a token worked twice: %s", text)
	}
	if text, err := join(first, token); err == nil || !strings.Contains(text, "belongs to a node already") {
		t.Errorf("a second join of one machine = %v: %s", err, text)
	}
	if peers, err := os.ReadFile(filepath.Join(first, "peers.json")); err != nil || !strings.Contains(string(peers), at(n.ports.Cluster)) {
		t.Errorf("the machine that joined remembers %q, %v", peers, err)
	}
	n.requireAlive()
}

// rogue is a member's identity in wrong hands: its clock is a day ahead.
type rogue struct {
	id    cluster.NodeID
	epoch cluster.Epoch
	ahead time.Duration
}

func (r *rogue) Stamp() cluster.Stamp {
	return cluster.Stamp{From: r.id, Epoch: r.epoch, Clock: cluster.Timestamp{Time: time.Now().Add(r.ahead).UnixNano(), Node: r.id}}
}
func (r *rogue) Admit(context.Context, cluster.Stamp, string) error { return nil }
func (r *rogue) Observe(cluster.Stamp)                              {}
func (r *rogue) Handle(context.Context, cluster.NodeID, *transport.Incoming) (*transport.Response, error) {
	return nil, cluster.Errorf(cluster.KindDenied, "handle", "not here")
}

// TestAttack40_FutureTimestamps: a node whose clock is a day ahead changes nothing: its updates are
// refused, the others' clocks stay, and the alarm is counted and logged.
func TestAttack40_FutureTimestamps(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 1, 1)
	node := c.node(1)
	before := c.await(1, "one node", settled(1))
	client := admin.NewClient(filepath.Join(node.Dir, admin.SocketName))
	text, _, err := client.NewToken(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	token, err := identity.ParseToken(text)
	if err != nil {
		t.Fatal(err)
	}
	id, _, err := identity.Join(t.Context(), &identity.MemFiles{}, token, identity.JoinOptions{})
	if err != nil {
		t.Fatal(err)
	}
	port, err := transport.Open(transport.Config{Credentials: id, Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := port.Close(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	me := &rogue{id: id.Node(), epoch: cluster.Epoch{Counter: epochCounter(t, before.Epoch), Coordinator: before.Node}}
	port.Serve(me)

	poison := cluster.Update{Object: cluster.Object{
		ID:        cluster.ObjectID{Type: "user", Owner: "u0@" + dev.Domain},
		Timestamp: cluster.Timestamp{Time: time.Now().Add(24 * time.Hour).UnixNano(), Node: me.id},
		Replicas:  cluster.NewReplicaSet(before.Node), Deleted: true,
	}}
	for name, ahead := range map[string]time.Duration{"an honest stamp": 0, "a stamp of tomorrow": 24 * time.Hour} {
		me.ahead = ahead
		resp, err := port.Call(t.Context(), cluster.Endpoint{ID: before.Node, Addr: at(node.Ports.Cluster)}, &transport.Request{
			Method: call.MethodApply, Payload: (&call.ApplyRequest{Updates: []cluster.Update{poison}}).Marshal(),
		})
		if err != nil {
			t.Fatal(err)
		}
		var answer call.ApplyAnswer
		if err := answer.Unmarshal(resp.Payload); err != nil {
			t.Fatal(err)
		}
		if len(answer.Replies) != 1 || answer.Replies[0].Err == nil {
			t.Fatalf("an update of tomorrow with %s: replies %+v, want a refusal", name, answer.Replies)
		}
		t.Logf("%s: %v", name, answer.Replies[0].Err)
	}
	if got := metric(t, node.Ports.HTTP, "porcupine_clock_skew_total"); got < 1 {
		t.Errorf("porcupine_clock_skew_total = %v after it, want an alarm", got)
	}
	// The user is still there, the password can still be changed: no clock was dragged along.
	send(t, at(node.Ports.SMTP), "u0@example.test", "Subject: x\r\n\r\nx\r\n")
	if err := client.SetPassword(t.Context(), "u0@"+dev.Domain, "another"); err != nil {
		t.Errorf("SetPassword after it = %v", err)
	}
	if n := popDial(t, at(node.Ports.POP3), "u0@example.test", "another").count(); n != 1 {
		t.Errorf("u0 has %d messages, want 1", n)
	}
}

func epochCounter(t *testing.T, epoch string) uint64 {
	t.Helper()
	counter, _, _ := strings.Cut(epoch, ".")
	n, err := strconv.ParseUint(counter, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
