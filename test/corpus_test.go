package test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/dev"
)

// benchDir is a folder beside the repository with tools that are no part of it; a test that wants one
// skips where it is absent.
const benchDir = "../../shared/bench"

func tool(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(benchDir, name))
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Skipf("%s is not beside this repository: %v", name, err)
	}
	return path
}

func needCommand(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed: %v", name, err)
	}
	return path
}

// D5, D8 and the real input: messages of real-world shapes go in at node 1 by SMTP and come out
// of node 3 by POP3 byte for byte, below the trace lines that were added. What is malformed is
// refused for good and not stored.
func TestCorpusRoundTrip(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("writes a corpus of 60 MB")
	}
	script := tool(t, "corpus.py")
	dir := t.TempDir()
	if out, err := exec.Command(needCommand(t, "python3"), script, dir, "--large").CombinedOutput(); err != nil {
		t.Fatalf("corpus.py: %v\n%s", err, out)
	}
	c := startCluster(t, 3, 1)
	sent := map[string][]byte{} // by name, as it must come back
	refused := 0
	for _, name := range corpusNames(t, dir) {
		message, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		err = offer(t, c.node(1).Ports.SMTP, "u0@"+dev.Domain, message)
		var refusal *smtpRefusal
		switch mayRefuse := strings.HasPrefix(name, "reject-"); {
		case err == nil:
			if !bytes.HasSuffix(message, []byte("\r\n")) {
				message = append(message, "\r\n"...) // RFC 5321 §4.1.1.4: the dot's line needs one
			}
			sent[name] = message
		case mayRefuse && errors.As(err, &refusal) && strings.HasPrefix(refusal.reply, "5"):
			refused++
		default:
			t.Errorf("%s: %v, want it taken", name, err)
		}
	}
	pop := popDial(t, at(c.node(3).Ports.POP3), "u0@"+dev.Domain, dev.Password)
	if got := pop.count(); got != len(sent) {
		t.Errorf("%d messages are there, %d were taken", got, len(sent))
	}
	t.Logf("%d messages taken, %d refused", len(sent), refused)
	for i := range pop.count() {
		got := pop.retr(i + 1)
		name := ""
		for n, m := range sent {
			if trace, ok := bytes.CutSuffix(got, m); ok && isTrace(trace) {
				name = n
			}
		}
		if name == "" {
			t.Errorf("message %d (%d bytes, it begins %.80q) is none of those that were sent", i+1, len(got), got)
			continue
		}
		delete(sent, name)
	}
	for name := range sent {
		t.Errorf("%s did not come back as it was sent", name)
	}
}

func corpusNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		if e.Name() != "manifest.tsv" && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names
}

// offer delivers a message in a session of its own; a refusal is a *smtpRefusal.
func offer(t *testing.T, port int, to string, message []byte) error {
	t.Helper()
	conn, err := net.Dial("tcp", at(port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(clientPatience)); err != nil {
		t.Fatal(err)
	}
	return deliver(conn, to, message)
}

// isTrace reports whether the text is what delivery adds on top: one Return-Path and one Received.
func isTrace(text []byte) bool {
	for _, field := range []string{"Return-Path:", "Received:"} {
		if !bytes.HasPrefix(text, []byte(field)) {
			return false
		}
		for first := true; first || len(text) > 0 && (text[0] == ' ' || text[0] == '\t'); first = false {
			_, text, _ = bytes.Cut(text, []byte("\r\n"))
		}
	}
	return len(text) == 0
}

// The load with a ledger of its own: nothing lost, duplicated, misplaced or corrupt.
func TestMailbench(t *testing.T) {
	if testing.Short() {
		t.Skip("loads a cluster")
	}
	seconds := 4
	if manyClusters() {
		seconds = 30
	}
	bench := buildMailbench(t)
	c := startCluster(t, 3, 200)
	t.Logf("%s", runMailbench(t, bench, c, seconds))
}

// The same while a node is killed and started again: what was acknowledged is there, and nobody
// is refused for good.
func TestMailbenchWithAKill(t *testing.T) {
	if !manyClusters() {
		t.Skip("takes a minute: make cluster")
	}
	bench := buildMailbench(t)
	c := startCluster(t, 3, 200)
	done := make(chan struct{})
	go func() {
		defer close(done)
		wait(t, 10*time.Second)
		c.kill(2)
		wait(t, 10*time.Second)
	}()
	result := make(chan string, 1)
	go func() { result <- runMailbench(t, bench, c, 30) }()
	<-done
	c.serve(2)
	t.Logf("%s", <-result)
}

func buildMailbench(t *testing.T) string {
	t.Helper()
	source := tool(t, "mailbench")
	bench := filepath.Join(t.TempDir(), "mailbench")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bench, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build mailbench: %v\n%s", err, out)
	}
	return bench
}

// runMailbench loads all nodes and gives the report; the program's status says that the ledger is clean.
func runMailbench(t *testing.T, bench string, c *clusterUnderTest, seconds int) string {
	cmd := exec.CommandContext(t.Context(), bench, "-smtp", strings.Join(c.addrs(smtpPort), ","), "-pop", strings.Join(c.addrs(popPort), ","),
		"-gen", "u%d@"+dev.Domain, "-gen-count", "200", "-password", dev.Password, "-c", "32", "-d", strconv.Itoa(seconds)+"s")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("mailbench: %v", err)
	}
	return string(out)
}
