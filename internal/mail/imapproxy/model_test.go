package imapproxy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/clustertest"
	"porcupine/internal/mail/imapserver/backend"
)

// model is clients of one mailbox in a cluster that falls apart and comes together again, and all that they were
// ever told.
type model struct {
	w       *world
	r       *rapid.T
	members []cluster.NodeID
	clients []*client
	// told is what each number was told to be: single-valued for ever (U1).
	told map[number]mail.MessageID
	// present are the messages that must be there in the end, by their text; what was doubtful is in neither.
	present  map[string]bool
	doubtful map[string]bool
	count    int
}

type number struct {
	folder   mail.FolderID
	validity uint32
	uid      mail.UID
}

// client has one session.
type client struct {
	m      backend.Mailbox
	s      backend.Selected
	known  mail.UIDSet
	status backend.Status
}

const nodesOfModel = 5

func folderNames() []string { return []string{"INBOX", "Archive", "Drafts"} }

func newModel(r *rapid.T, t *testing.T) *model {
	m := &model{w: newWorld(t, nodesOfModel), r: r, told: make(map[number]mail.MessageID), present: make(map[string]bool), doubtful: make(map[string]bool)}
	for i := range nodesOfModel {
		m.members = append(m.members, cluster.NodeID(i+1))
	}
	m.w.cfg.RangesMax = rapid.SampledFrom([]int{0, 1, 3}).Draw(r, "ranges that an answer holds")
	m.w.restart(t)
	m.w.open(t, 1) // the first ledger replicas are written down before the profile moves on two sides
	return m
}

func (m *model) ctx() context.Context { return m.r.Context() }

// member draws a node that is a member.
func (m *model) member() site { return m.w.nodes[rapid.SampledFrom(m.members).Draw(m.r, "node")-1] }

func (m *model) text() (string, []byte) {
	m.count++
	text := fmt.Sprintf("text %d", m.count)
	return text, []byte("Subject: x\r\n\r\n" + text + "\r\n")
}

func (m *model) Deliver(*rapid.T) {
	text, body := m.text()
	env := mail.Envelope{Received: time.Unix(1_700_000_000+int64(m.count), 0), Recipients: []mail.Recipient{{Users: []mail.User{user}}}}
	if err := m.member().delivery.Deliver(m.ctx(), env, bytes.NewReader(body))[0]; err != nil {
		m.doubtful[text] = true
		return
	}
	m.present[text] = true
}

func (m *model) Select(*rapid.T) {
	c := &client{}
	var err error
	if c.m, err = m.member().proxy.Open(m.ctx(), user, mail.Client{}); err != nil {
		return // not on this side
	}
	name := rapid.SampledFrom(folderNames()).Draw(m.r, "folder")
	if c.s, err = c.m.Select(m.ctx(), name, false); err != nil {
		if !cluster.IsKind(err, cluster.KindUnavailable) {
			m.r.Fatalf("Select %s: %v", name, err)
		}
		return
	}
	if c.known, err = c.s.UIDs(m.ctx()); err != nil {
		m.r.Fatal(err)
	}
	c.status = c.s.Status()
	if n := len(c.known); n > 0 && c.known[n-1].Last >= c.status.UIDNext {
		m.r.Fatalf("UIDNEXT %d with UIDs %v", c.status.UIDNext, c.known)
	}
	if len(m.clients) == 4 {
		m.clients = m.clients[1:]
	}
	m.clients = append(m.clients, c)
	m.look(c, c.known)
}

// look reads what a client has been told of, and compares it with all that was ever told.
func (m *model) look(c *client, uids mail.UIDSet) {
	err := c.s.Summaries(m.ctx(), uids, func(s *mail.Summary) error {
		n := number{c.status.ID, c.status.UIDValidity, s.UID}
		if before, ok := m.told[n]; ok && before != s.ID {
			m.r.Fatalf("U1: number %v was message %v, and is %v", n, before, s.ID)
		}
		m.told[n] = s.ID
		return nil
	})
	if err != nil && !cluster.IsKind(err, cluster.KindUnavailable) {
		m.r.Fatalf("Summaries: %v", err)
	}
}

// any gives a client, or nil.
func (m *model) any() *client {
	if len(m.clients) == 0 {
		return nil
	}
	return m.clients[rapid.IntRange(0, len(m.clients)-1).Draw(m.r, "client")]
}

// bye ends a session after an error.
func (m *model) bye(c *client, what string, err error) {
	if !cluster.IsKind(err, cluster.KindUnavailable) && !cluster.IsKind(err, cluster.KindFull) {
		m.r.Fatalf("%s: %v", what, err)
	}
	m.clients = slices.DeleteFunc(m.clients, func(o *client) bool { return o == c })
}

func (m *model) Sync(*rapid.T) {
	if c := m.any(); c != nil {
		m.sync(c)
	}
}

func (m *model) sync(c *client) bool {
	ch, err := c.s.Sync(m.ctx())
	if err != nil {
		m.bye(c, "Sync", err)
		return false
	}
	switch {
	case len(ch.Arrived) > 0 && ch.Arrived[0].First < c.status.UIDNext:
		m.r.Fatalf("U3: %v arrived below UIDNEXT %d", ch.Arrived, c.status.UIDNext)
	case ch.Status.UIDNext < c.status.UIDNext || ch.Status.HighestModSeq < c.status.HighestModSeq || ch.Status.UIDValidity != c.status.UIDValidity:
		m.r.Fatalf("C1: %+v after %+v", ch.Status, c.status)
	case len(ch.Vanished.Without(c.known)) > 0:
		m.r.Fatalf("%v vanished, and only %v were known", ch.Vanished, c.known)
	case ch.Status.UIDNext > c.status.UIDNext && len(ch.Arrived) == 0 && len(ch.Vanished) == 0 && ch.Status.HighestModSeq == c.status.HighestModSeq:
		m.r.Fatalf("U4: UIDNEXT %d after %d, and nothing happened", ch.Status.UIDNext, c.status.UIDNext)
	}
	c.known = c.known.Without(ch.Vanished).Union(ch.Arrived)
	c.status = ch.Status
	m.look(c, ch.Arrived)
	return true
}

// some draws UIDs that a client knows.
func (m *model) some(c *client) (set mail.UIDSet) {
	for u := range c.known.All() {
		if rapid.Bool().Draw(m.r, "take") {
			set.Append(u)
		}
	}
	return set
}

func (m *model) Store(*rapid.T) {
	c := m.any()
	if c == nil {
		return
	}
	change := backend.FlagChange{Op: rapid.SampledFrom([]backend.FlagOp{backend.FlagsAdd, backend.FlagsRemove}).Draw(m.r, "op"),
		Flags: []mail.Flag{rapid.SampledFrom([]mail.Flag{mail.FlagSeen, "work"}).Draw(m.r, "flag")}}
	done, _, err := c.s.Store(m.ctx(), m.some(c), change, 0)
	if err != nil {
		m.bye(c, "Store", err)
		return
	}
	for i := range done {
		if slices.Contains(done[i].Flags, change.Flags[0]) != (change.Op == backend.FlagsAdd) {
			m.r.Fatalf("D4: flags %v after %v", done[i].Flags, change)
		}
	}
}

func (m *model) Move(*rapid.T) {
	if c := m.any(); c != nil {
		if _, err := c.s.Move(m.ctx(), m.some(c), rapid.SampledFrom(folderNames()).Draw(m.r, "to")); err != nil {
			m.bye(c, "Move", err)
		}
	}
}

func (m *model) Append(*rapid.T) {
	c := m.any()
	if c == nil {
		return
	}
	text, body := m.text()
	_, err := c.m.Append(m.ctx(), rapid.SampledFrom(folderNames()).Draw(m.r, "to"), []backend.Append{{Body: bytes.NewReader(body), Size: int64(len(body))}})
	if err != nil {
		m.doubtful[text] = true
		m.bye(c, "Append", err)
		return
	}
	m.present[text] = true
}

// texts reads messages.
func (m *model) texts(c *client, uids mail.UIDSet) (texts []string) {
	for u := range uids.All() {
		r, err := c.s.Open(m.ctx(), u, 0, -1)
		if err != nil {
			continue
		}
		var b bytes.Buffer
		if _, err := b.ReadFrom(r); err != nil {
			m.r.Fatal(err)
		}
		r.Close()
		_, after, _ := bytes.Cut(b.Bytes(), []byte("\r\n\r\n"))
		texts = append(texts, string(bytes.TrimSpace(after)))
	}
	return texts
}

func (m *model) Expunge(*rapid.T) {
	c := m.any()
	if c == nil || !m.sync(c) {
		return
	}
	var set mail.UIDSet
	for u := range m.some(c).All() {
		for _, text := range m.texts(c, mail.NewUIDSet(u)) { // none: nobody can say now which one it is
			set.Append(u)
			delete(m.present, text)
			m.doubtful[text] = true // what nobody could reach is still there
		}
	}
	if _, _, err := c.s.Store(m.ctx(), set, backend.FlagChange{Op: backend.FlagsAdd, Flags: []mail.Flag{mail.FlagDeleted}}, 0); err != nil {
		m.bye(c, "Store", err)
		return
	}
	if err := c.s.Expunge(m.ctx(), set); err != nil {
		m.bye(c, "Expunge", err)
	}
}

// Pop deletes a message as POP3 does, behind the managers' backs.
func (m *model) Pop(*rapid.T) {
	c := m.any()
	if c == nil || !m.sync(c) {
		return
	}
	for u := range m.some(c).All() {
		texts := m.texts(c, mail.NewUIDSet(u))
		if len(texts) == 0 {
			continue
		}
		err := c.s.Summaries(m.ctx(), mail.NewUIDSet(u), func(s *mail.Summary) error {
			id := s.ID.Object(user)
			node := m.w.Node(m.members[0])
			update := cluster.Update{Object: cluster.Object{ID: id, Deleted: true}, Previous: m.w.Copies(id).Union(cluster.ReplicaSet{m.members[0]})}
			return node.UpdateAll(m.ctx(), []cluster.Update{update})[0]
		})
		for _, text := range texts {
			delete(m.present, text)
			m.doubtful[text] = true
		}
		if err != nil {
			return
		}
	}
}

// Profile moves the user's profile to other nodes: the ledgers are to follow it (L9).
func (m *model) Profile(*rapid.T) {
	var on cluster.ReplicaSet
	for range 3 {
		on = on.Union(cluster.ReplicaSet{rapid.SampledFrom(m.members).Draw(m.r, "replica")})
	}
	id := cluster.ObjectID{Type: mail.TypeUser, Owner: string(user)}
	u := cluster.Update{Object: cluster.Object{ID: id, Replicas: on, Copies: 3, Size: 7, Sum: sha256.Sum256([]byte("profile"))}, Previous: m.w.Copies(id)}
	if err := m.w.Node(m.members[0]).Update(m.ctx(), u, bytes.NewReader([]byte("profile"))); err != nil && !cluster.IsKind(err, cluster.KindUnavailable) && !cluster.IsKind(err, cluster.KindFull) && !mail.Holds(err) {
		m.r.Fatal(err)
	}
}

// Part has some of the nodes go on alone. The others are as if stopped, until they have their turn.
func (m *model) Part(*rapid.T) {
	var side []cluster.NodeID
	for i := range nodesOfModel {
		if rapid.Bool().Draw(m.r, "member") {
			side = append(side, cluster.NodeID(i+1))
		}
	}
	if len(side) == 0 {
		side = []cluster.NodeID{1}
	}
	m.members = side
	m.w.SetMembers(side...)
	m.w.SetKnowledge(cluster.Complete)
}

func (m *model) Heal(*rapid.T) {
	m.members = m.members[:0]
	for i := range nodesOfModel {
		m.members = append(m.members, cluster.NodeID(i+1))
		m.w.SetFaults(cluster.NodeID(i+1), clustertest.Faults{})
	}
	m.w.SetMembers(m.members...)
	m.w.SetKnowledge(cluster.Conclusive)
	m.w.Propagate()
}

// Fault has one node fail in one of three ways, until all is healed.
func (m *model) Fault(*rapid.T) {
	f := rapid.SampledFrom([]clustertest.Faults{{Hung: true}, {Mute: true}, {Full: true}}).Draw(m.r, "fault")
	m.w.SetFaults(rapid.SampledFrom(m.members).Draw(m.r, "on"), f)
}

func (m *model) Elsewhere(*rapid.T) {
	m.w.MoveBucket(string(user), rapid.SampledFrom(m.members).Draw(m.r, "manager"))
}

// converge heals everything, and compares what there is with what must be.
func (m *model) converge(t *testing.T) {
	m.Heal(nil)
	for i := 0; m.w.Propagate() > 0; i++ {
		if i == 100 {
			m.r.Fatal("the records do not end")
		}
	}
	m.w.MoveBucket(string(user), 3)
	m.w.restart(t) // else nodes that have just come back count for less during some seconds
	for _, c := range slices.Clone(m.clients) {
		m.sync(c)
	}
	var views [2][]string
	for i := range views {
		m.w.MoveBucket(string(user), cluster.NodeID(i+1))
		found := make(map[string]int)
		for _, name := range folderNames() {
			_, s := m.w.pick(t, cluster.NodeID(3-i), name)
			uids, _ := s.UIDs(m.ctx())
			lines := show(t, s)
			if uids.Len() != len(lines) {
				m.r.Errorf("%s has %d UIDs and %d messages", name, uids.Len(), len(lines))
			}
			for _, line := range lines {
				views[i] = append(views[i], name+" "+line)
			}
			for _, text := range m.texts(&client{s: s}, uids) {
				found[text]++
			}
			for _, c := range m.clients {
				if c.status.ID == s.Status().ID && i == 0 && (len(c.known.Without(uids)) > 0 || len(uids.Without(c.known)) > 0) {
					m.r.Errorf("U5: a session that followed knows %v of %v", c.known, uids)
				}
			}
		}
		for text := range m.present {
			if found[text] != 1 {
				m.r.Errorf("D1: %s is there %d times", text, found[text])
			}
		}
		for _, text := range slices.Sorted(maps.Keys(found)) {
			if !m.present[text] && !m.doubtful[text] {
				m.r.Errorf("R5: %s is there", text)
			}
		}
	}
	if !slices.Equal(views[0], views[1]) {
		m.r.Errorf("two managers show\n%q\n%q", views[0], views[1])
	}
}

// U1, U3, U4, C1, D1 and U5: clients on all sides of partitions, managers that come and go, POP3 behind their backs.
func TestU1_U3_C1_Model(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := newModel(r, t)
		r.Repeat(map[string]func(*rapid.T){
			"deliver": m.Deliver, "select": m.Select, "sync": m.Sync, "store": m.Store, "move": m.Move, "append": m.Append,
			"expunge": m.Expunge, "pop": m.Pop, "part": m.Part, "profile": m.Profile, "fault": m.Fault, "heal": m.Heal, "elsewhere": m.Elsewhere,
		})
		m.converge(t)
	})
}
