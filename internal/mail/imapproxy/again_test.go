package imapproxy

import (
	"context"
	"fmt"
	"testing"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/imapserver/backend"
	"porcupine/internal/mail/index/talk"
	"porcupine/internal/mail/smtpserver/spool"
)

// carrier is a node that loses the answer of each manager to a question of some kinds: it dies, and the question is carried to the next one.
type carrier struct {
	*clustertest.Node
	w     *world
	lost  map[talk.Op]bool
	after func() // nil: nothing else happens meanwhile
}

func (c *carrier) Ask(ctx context.Context, owner, method string, payload []byte) ([]byte, error) {
	answer, err := c.Node.Ask(ctx, owner, method, payload)
	if q, parseErr := talk.ParseQuestion(payload); err != nil || parseErr != nil || !c.lost[q.Op] {
		return answer, err
	}
	if c.after != nil {
		c.after()
	}
	c.w.MoveBucket(owner, c.w.Node(1).View().Manager(clustertest.ID.BucketOf(owner))%3+1)
	return c.Node.Ask(ctx, owner, method, payload)
}

// carried opens a mailbox whose questions of these kinds are carried twice.
func (w *world) carried(t *testing.T, ops ...talk.Op) (backend.Mailbox, *carrier) {
	t.Helper()
	c := &carrier{Node: w.Node(1), w: w, lost: make(map[talk.Op]bool)}
	for _, op := range ops {
		c.lost[op] = true
	}
	p, err := New(c, w.nodes[0].delivery, people{c.Node}, Config{ClusterID: clustertest.ID, Spool: spool.New(noFiles{}, 1<<20, 1<<24)})
	if err != nil {
		t.Fatal(err)
	}
	m, err := p.Open(t.Context(), user, mail.Client{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return m, c
}

// names lists the folders with what is in them.
func names(t *testing.T, m backend.Mailbox) (lines []string) {
	t.Helper()
	all, err := m.Folders(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Use != "" || !f.Exists {
			continue
		}
		st, err := m.Status(t.Context(), f.Name)
		if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%s %d", f.Name, st.Messages))
	}
	return lines
}

// D6: the manager dies AFTER it has done what was asked and BEFORE it said so. The client hears that it was done, and it is done once.
func TestD6_AnswerLostWithTheManager(t *testing.T) {
	w := newWorld(t, 3)
	w.deliver(t, 1)
	m, _ := w.carried(t, talk.OpCreate, talk.OpDelete, talk.OpRename)
	for _, step := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"create", func() error { _, err := m.Create(t.Context(), "a/b/c", ""); return err }, []string{"INBOX 1", "a 0", "a/b 0", "a/b/c 0"}},
		{"rename", func() error { return m.Rename(t.Context(), "a/b", "x/y") }, []string{"INBOX 1", "a 0", "x 0", "x/y 0", "x/y/c 0"}},
		{"rename INBOX", func() error { return m.Rename(t.Context(), "INBOX", "old/mail") }, []string{"INBOX 0", "a 0", "old 0", "old/mail 1", "x 0", "x/y 0", "x/y/c 0"}},
		{"delete", func() error { return m.Delete(t.Context(), "old/mail") }, []string{"INBOX 0", "a 0", "old 0", "x 0", "x/y 0", "x/y/c 0"}},
	} {
		if err := step.do(); err != nil {
			t.Errorf("%s: %v", step.what, err)
		}
		want(t, step.what, names(t, m), step.want)
	}
}

// What is not there is refused, as before, and what another question has made too.
func TestD6_NotDoneByThisQuestion(t *testing.T) {
	w := newWorld(t, 3)
	m := w.open(t, 2)
	if _, err := m.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"delete": m.Delete(t.Context(), "b"), "rename": m.Rename(t.Context(), "b", "c")} {
		if !cluster.IsKind(err, cluster.KindNotFound) {
			t.Errorf("%s what is not there = %v", what, err)
		}
	}
	_, created := m.Create(t.Context(), "a", "")
	for what, err := range map[string]error{"create": created, "rename to itself": m.Rename(t.Context(), "a", "a"), "rename INBOX": m.Rename(t.Context(), "INBOX", "a")} {
		if !cluster.IsKind(err, cluster.KindExists) {
			t.Errorf("%s what is there = %v", what, err)
		}
	}
}

// D1: a folder that has got the name since is not the one that was to be deleted.
func TestD1_DeletedOnce(t *testing.T) {
	w := newWorld(t, 3)
	other := w.open(t, 2)
	m, c := w.carried(t, talk.OpDelete)
	if _, err := m.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	c.after = func() {
		if _, err := other.Create(t.Context(), "a", ""); err != nil {
			t.Error(err)
		}
	}
	if err := m.Delete(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	want(t, "folders", names(t, m), []string{"INBOX 0", "a 0"})
}

// D1: a folder that has got the name since is not the one that was to be renamed.
func TestD1_RenamedOnce(t *testing.T) {
	w := newWorld(t, 3)
	other := w.open(t, 2)
	m, c := w.carried(t, talk.OpRename)
	if _, err := m.Create(t.Context(), "a", ""); err != nil {
		t.Fatal(err)
	}
	c.after = func() {
		if err := other.Rename(t.Context(), "b", "c"); err != nil {
			t.Error(err)
		}
		if _, err := other.Create(t.Context(), "a", ""); err != nil {
			t.Error(err)
		}
	}
	if err := m.Rename(t.Context(), "a", "b"); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("Rename = %v", err)
	}
	want(t, "folders", names(t, m), []string{"INBOX 0", "a 0", "c 0"})
}

// D6, RFC 7162 §3.1.3: a conditional STORE is not refused because of what it has done itself, at a manager that died; and what others
// did meanwhile is neither undone nor hidden. What somebody else had changed before is left alone, also the second time.
func TestD6_ConditionalStoreAnsweredTwice(t *testing.T) {
	w := newWorld(t, 3)
	w.fill(4)
	_, other := w.pick(t, 2, "INBOX")
	m, c := w.carried(t, talk.OpStore)
	s, err := m.Select(t.Context(), "INBOX", false)
	if err != nil {
		t.Fatal(err)
	}
	since := s.Status().HighestModSeq
	set := func(by backend.Selected, op backend.FlagOp, since mail.ModSeq, f mail.Flag, uids ...mail.UID) (done []mail.Summary, modified mail.UIDSet) {
		done, modified, err := by.Store(t.Context(), mail.NewUIDSet(uids...), backend.FlagChange{Op: op, Flags: []mail.Flag{f}}, since)
		if err != nil {
			t.Fatal(err)
		}
		return done, modified
	}
	told := func(done []mail.Summary, modified mail.UIDSet) (lines []string) {
		for i := range done {
			lines = append(lines, fmt.Sprint(done[i].UID, done[i].Flags))
		}
		return append(lines, fmt.Sprint("modified ", modified))
	}
	set(other, backend.FlagsAdd, 0, mail.FlagAnswered, 2)
	c.after = func() { set(other, backend.FlagsAdd, 0, mail.FlagFlagged, 3) }
	done, modified := set(s, backend.FlagsAdd, since, "$Mine", 1, 2, 3, 4)
	want(t, "STORE", told(done, modified), []string{"1 [$Mine]", `3 [$Mine \Flagged]`, "4 [$Mine]", "modified [{2 2}]"})

	since = done[2].ModSeq
	c.after = nil
	again, modified := set(s, backend.FlagsRemove, since, "$Mine", 4)
	want(t, "STORE again", told(again, modified), []string{"4 []", "modified []"})
	if done, modified = set(s, backend.FlagsAdd, since, "$Mine", 4); len(done) > 0 || !modified.Contains(4) {
		t.Errorf("another STORE with the sequence of before = %v, %v", done, modified)
	}
	set(other, backend.FlagsAdd, again[0].ModSeq, "$Theirs", 4)
	if done, modified = set(s, backend.FlagsReplace, again[0].ModSeq, "$Mine", 4); len(done) > 0 || !modified.Contains(4) {
		t.Errorf("a STORE after somebody else's = %v, %v", done, modified)
	}
}
