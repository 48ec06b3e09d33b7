package test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"porcupine/internal/admin"
	"porcupine/internal/bench"
	"porcupine/internal/dev"
)

// load runs our benchmark against some machines, for the users that the pattern makes.
func (l *lab) load(on []*machine, pattern string, users, workers int, d time.Duration) <-chan bench.Report {
	l.t.Helper()
	cfg := bench.DefaultConfig()
	for _, m := range on {
		cfg.SMTP, cfg.POP3 = append(cfg.SMTP, m.at(labSMTP)), append(cfg.POP3, m.at(labPOP3))
	}
	cfg.UserPattern, cfg.Users, cfg.Password = pattern, users, dev.Password
	cfg.Workers, cfg.Duration, cfg.AllowRemote, cfg.Settle = workers, d, true, time.Minute
	result := make(chan bench.Report, 1)
	ctx, cancel := context.WithTimeout(l.t.Context(), d+4*time.Minute)
	go func() {
		defer cancel()
		report, err := bench.Run(ctx, cfg)
		if err != nil {
			l.t.Errorf("bench: %v", err)
		}
		result <- report
	}()
	return result
}

// loadAll is load on all machines for all users of the load.
func (l *lab) loadAll(workers int, d time.Duration) <-chan bench.Report {
	l.t.Helper()
	return l.load(l.machines, "u%d@"+dev.Domain, labUsers, workers, d)
}

// independent is what the other load generator reports: it shares no code with this repository.
type independent struct {
	Acked      int64          `json:"acked"`
	PerSecond  float64        `json:"acked_per_s"`
	ServerCPU  float64        `json:"server_cpu_s"`
	Errors     map[string]int `json:"errors"`
	Lost       int            `json:"lost"`
	Duplicated int            `json:"duplicated"`
	Misplaced  int            `json:"wrong_user"`
	Corrupt    int            `json:"corrupt"`
	Phantom    int            `json:"phantom"`
	Ambiguous  int            `json:"ambiguous"`
	Verified   bool           `json:"verified"`
	Examples   []string       `json:"examples"`
}

// refusedForGood is what a 5xx in the other load generator's list of errors looks like. -ERR of POP3
// has no such digits.
var refusedForGood = regexp.MustCompile(`: 5[0-9][0-9][ -]`)

// mailbench builds the other load generator, and gives nil if it is not beside the repository.
func mailbench(t *testing.T) func(ctx context.Context, result string, args ...string) (independent, error) {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join(benchDir, "mailbench"))
	if err != nil || !exists(filepath.Join(dir, "main.go")) {
		return nil
	}
	binary := filepath.Join(t.TempDir(), "mailbench")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("mailbench: %v: %s", err, out)
	}
	return func(ctx context.Context, result string, args ...string) (r independent, err error) {
		out, runErr := exec.CommandContext(ctx, binary, append(args, "-json", result)...).CombinedOutput()
		text, err := os.ReadFile(result)
		if err == nil {
			err = json.Unmarshal(text, &r)
		}
		if err != nil {
			return r, fmt.Errorf("mailbench: %w: %w: %s", runErr, err, out)
		}
		return r, nil
	}
}

// judgeIndependent demands of the other ledger what judge demands of ours.
func judgeIndependent(t *testing.T, r independent) {
	t.Helper()
	t.Logf("mailbench: acked %d, %.0f a second; lost %d, duplicated %d, wrong user %d, corrupt %d, phantom %d, ambiguous %d; errors %v",
		r.Acked, r.PerSecond, r.Lost, r.Duplicated, r.Misplaced, r.Corrupt, r.Phantom, r.Ambiguous, r.Errors)
	if r.Acked == 0 || !r.Verified {
		t.Error("no message was accepted, or the mailboxes were not read at the end")
	}
	if r.Lost+r.Misplaced+r.Corrupt+r.Phantom > 0 || r.Duplicated > r.Ambiguous {
		t.Errorf("promises were broken; for example %q", r.Examples)
	}
	for what, n := range r.Errors {
		if refusedForGood.MatchString(what) {
			t.Errorf("%d sessions were refused for good (V1): %s", n, what)
		}
	}
}

// loadIndependent is loadAll with the other load generator, and with ours where there is none. What
// it gives waits for the end and judges it.
func (l *lab) loadIndependent(workers int, d time.Duration) (judged func()) {
	l.t.Helper()
	run := mailbench(l.t)
	if run == nil {
		result := l.loadAll(workers, d)
		return func() { judge(l.t, <-result) }
	}
	var smtp, pop []string
	for _, m := range l.machines {
		smtp, pop = append(smtp, m.at(labSMTP)), append(pop, m.at(labPOP3))
	}
	done := make(chan independent, 1)
	ctx, cancel := context.WithTimeout(l.t.Context(), d+4*time.Minute)
	file := filepath.Join(l.t.TempDir(), "mailbench.json")
	go func() {
		defer cancel()
		r, err := run(ctx, file, "-smtp", strings.Join(smtp, ","), "-pop", strings.Join(pop, ","), "-allow-remote",
			"-gen", "u%d@"+dev.Domain, "-gen-count", fmt.Sprint(labUsers), "-password", dev.Password,
			"-c", fmt.Sprint(workers), "-d", d.String())
		if err != nil {
			l.t.Error(err)
		}
		done <- r
	}()
	return func() { judgeIndependent(l.t, <-done) }
}

// kept is mail that is delivered and not fetched until the end: a second ledger, which shares nothing
// with the benchmark's but the idea.
type kept struct {
	l  *lab
	mu sync.Mutex
	// By the owner: the tags of messages that were acknowledged, and of those of which it is not known.
	acked, doubtful map[string][]string
	next            int
}

func (l *lab) newKept() *kept {
	return &kept{l: l, acked: map[string][]string{}, doubtful: map[string][]string{}}
}

const tagHeader = "X-Kept: "

// deliver sends n messages to the owners in turn, by the machines given in turn, and gives how many
// were acknowledged. A temporary refusal is an answer; a permanent one fails the test (V1).
func (k *kept) deliver(n int, via ...*machine) (acknowledged int) {
	t := k.l.t
	t.Helper()
	for i := range n {
		tag, owner := k.tag()
		body := strings.Repeat(tag+"\r\n", 1+i%40)
		sum := sha256.Sum256([]byte(body))
		message := tagHeader + tag + " " + hex.EncodeToString(sum[:]) + "\r\nSubject: kept\r\n\r\n" + body
		err := deliverTo(t, via[i%len(via)].at(labSMTP), owner, message)
		var refusal *smtpRefusal
		k.mu.Lock()
		switch {
		case err == nil:
			k.acked[owner] = append(k.acked[owner], tag)
			acknowledged++
		case errors.As(err, &refusal) && strings.HasPrefix(refusal.reply, "5"):
			t.Errorf("mail for %s was refused for good: %v", owner, err)
		case errors.As(err, &refusal):
			t.Logf("mail for %s by machine %d: try later: %v", owner, via[i%len(via)].n, err)
		default:
			k.doubtful[owner] = append(k.doubtful[owner], tag)
		}
		k.mu.Unlock()
	}
	return acknowledged
}

func (k *kept) tag() (tag, owner string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.next++
	return fmt.Sprintf("tag-%d", k.next), keeper(k.next % labOwners)
}

func deliverTo(t *testing.T, addr, owner, message string) error {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	return errors.Join(conn.SetDeadline(time.Now().Add(clientPatience)), deliver(conn, owner, []byte(message)))
}

// check reads all mailboxes of the owners at a machine and compares: everything acknowledged is there,
// once, as it was sent (D1, D5, D6). What it reads stays.
func (k *kept) check(m *machine) {
	t := k.l.t
	t.Helper()
	k.mu.Lock()
	defer k.mu.Unlock()
	for i := range labOwners {
		owner := keeper(i)
		pop := popDial(t, m.at(labPOP3), owner, dev.Password)
		found := map[string]int{}
		for n := range pop.count() {
			found[k.read(owner, pop.retr(n+1))]++
		}
		pop.ok("QUIT")
		pop.conn.Close()
		for _, tag := range k.acked[owner] {
			if found[tag] != 1 {
				t.Errorf("machine %d: %s has %s %d times, want once", m.n, owner, tag, found[tag])
			}
			delete(found, tag)
		}
		for _, tag := range k.doubtful[owner] {
			if found[tag] > 1 {
				t.Errorf("machine %d: %s has %s %d times, want once or not at all", m.n, owner, tag, found[tag])
			}
			delete(found, tag)
		}
		if len(found) > 0 {
			t.Errorf("machine %d: %s has %v, which was never acknowledged or was deleted", m.n, owner, found)
		}
	}
}

// read gives a message's tag and checks its body.
func (k *kept) read(owner string, message []byte) string {
	head, body, _ := strings.Cut(string(message), "\r\n\r\n")
	for line := range strings.Lines(head) {
		if rest, ok := strings.CutPrefix(line, tagHeader); ok {
			tag, want, _ := strings.Cut(strings.TrimSpace(rest), " ")
			if sum := sha256.Sum256([]byte(body)); hex.EncodeToString(sum[:]) != want {
				k.l.t.Errorf("%s of %s has %d bytes that are not those which were sent", tag, owner, len(body))
			}
			return tag
		}
	}
	k.l.t.Errorf("a message of %s has no tag:\n%s", owner, head)
	return ""
}

// total is the number of messages acknowledged.
func (k *kept) total() (n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, tags := range k.acked {
		n += len(tags)
	}
	return n
}

// forget takes all of an owner's mail out of the ledger: the owner has deleted it.
func (k *kept) forget(owner string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.acked, owner)
	delete(k.doubtful, owner)
}

// copyOn is one line of a node's dump.
type copyOn struct {
	Owner, Type, ID, SHA256, Timestamp string
	Deleted                            bool
	Replicas                           []string
}

// dump gives the objects that a machine's disk holds, by type, owner and id. Tombstones are left out.
func (m *machine) dump() map[string]copyOn {
	t := m.lab.t
	t.Helper()
	out, err := m.porcupine("", "store", "dump")
	if err != nil {
		t.Fatal(err)
	}
	objects := map[string]copyOn{}
	for line := range strings.Lines(out) {
		if !strings.Contains(line, `"record":"object"`) {
			continue
		}
		var c copyOn
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("dump of machine %d: %q: %v", m.n, line, err)
		}
		if !c.Deleted {
			objects[c.Type+" "+c.Owner+" "+c.ID] = c
		}
	}
	return objects
}

// copies counts the messages that the machines hold, by the number of copies they have, and complains of
// copies that differ (R1) or whose replica set is not where they lie.
func (l *lab) copies(on ...*machine) map[int]int {
	l.t.Helper()
	all := map[string][]copyOn{}
	for _, m := range on {
		for key, c := range m.dump() {
			if c.Type == "message" {
				all[key] = append(all[key], c)
			}
		}
	}
	counts := map[int]int{}
	for key, copies := range all {
		counts[len(copies)]++
		for _, c := range copies[1:] {
			if c.SHA256 != copies[0].SHA256 || c.Timestamp != copies[0].Timestamp || !slices.Equal(c.Replicas, copies[0].Replicas) {
				l.t.Errorf("R1: the copies of %s differ: %+v and %+v", key, c, copies[0])
			}
		}
	}
	return counts
}

// drained waits until no node has an update record or a report left, and demands that it takes no longer.
func (l *lab) drained(within time.Duration) {
	l.t.Helper()
	began := time.Now()
	l.awaitWithin(within, "a cluster at rest with empty update logs", func(s admin.Status) bool {
		if len(s.Members) < len(l.alive()) || s.IncompleteBuckets > 0 || s.PendingUpdates > 0 {
			return false
		}
		for _, m := range l.alive() {
			name := recordsMetric
			if len(s.Absent) > 0 {
				name = owedMetric
			}
			if metricAt(l.t, m.at(labHTTP), name) != 0 {
				return false
			}
		}
		return true
	})
	l.t.Logf("the update logs were empty after %v", time.Since(began).Round(100*time.Millisecond))
}

// The update records that a node keeps and that are not retired: all, and those that wait for a member. While
// a node is absent, what it has not heard of stays.
const (
	recordsMetric = "porcupine_update_records"
	owedMetric    = "porcupine_updates_owed"
)

// alive are the machines whose process runs.
func (l *lab) alive() (up []*machine) {
	for _, m := range l.machines {
		if m.p != nil && m.p.runs() {
			up = append(up, m)
		}
	}
	return up
}

// repairWithin is how long the cluster has, at rest, until nothing has too few copies any more (R6).
const repairWithin = 90 * time.Second

// verified runs `porcupine verify`, which reads the whole cluster, until it finds nothing to complain of.
func (l *lab) verified() {
	l.t.Helper()
	for began := time.Now(); ; wait(l.t, time.Second) {
		out, err := l.alive()[0].porcupine("", "verify")
		if err == nil {
			l.t.Logf("verify, after %v: %s", time.Since(began).Round(time.Second), strings.TrimSpace(out))
			return
		}
		if time.Since(began) > repairWithin {
			l.logs()
			l.t.Fatalf("the cluster is not as it should be: %v\n%s", err, out)
		}
	}
}
