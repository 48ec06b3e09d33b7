package softstate

import (
	"bufio"
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

var clusterID = cluster.ID{1}

// story is a small cluster: a manager, a reporter and a disk for each node, and the pushes that
// are under way between them. A transcript is a list of commands, each followed by what it did.
type story struct {
	now    time.Time
	nodes  map[cluster.NodeID]*storyNode
	views  map[string]*cluster.View
	scans  []storyScan
	pushes []Outgoing
	out    strings.Builder
}

type storyNode struct {
	manager  *Manager
	reporter *Reporter
	disk     map[string]cluster.Holding
}

type storyScan struct {
	node cluster.NodeID
	scan Scan
}

func newStory() *story {
	return &story{now: time.Unix(0, 0), nodes: make(map[cluster.NodeID]*storyNode), views: make(map[string]*cluster.View)}
}

func (s *story) node(id cluster.NodeID) *storyNode {
	n, ok := s.nodes[id]
	if !ok {
		n = &storyNode{NewManager(id, clusterID), NewReporter(id, clusterID), make(map[string]cluster.Holding)}
		s.nodes[id] = n
	}
	return n
}

func epochOf(text string) cluster.Epoch {
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return cluster.Epoch{Counter: n, Coordinator: 1}
}

func nodeOf(text string) cluster.NodeID { return cluster.NodeID(epochOf(text).Counter) }

// view reads "5 = 1/1 2/1 3/5 : alice=2/5": epoch, members with their Since, and who manages the
// bucket of an owner since when. All other buckets belong to the first member since epoch 1.
func (s *story) view(args []string) {
	v := &cluster.View{Epoch: epochOf(args[0]), Map: make(cluster.UserMap, cluster.BucketCount)}
	for _, a := range args[2:] {
		if a == ":" {
			continue
		}
		if owner, rest, ok := strings.Cut(a, "="); ok {
			id, since, _ := strings.Cut(rest, "/")
			v.Map[clusterID.BucketOf(owner)] = cluster.Assignment{Manager: nodeOf(id), Epoch: epochOf(since)}
			continue
		}
		id, since, _ := strings.Cut(a, "/")
		v.Members = append(v.Members, cluster.Member{Endpoint: cluster.Endpoint{ID: nodeOf(id)}, Since: epochOf(since)})
	}
	for b := range v.Map {
		if v.Map[b].Manager == cluster.NoNode {
			v.Map[b] = cluster.Assignment{Manager: v.Members[0].ID, Epoch: epochOf("1")}
		}
	}
	s.views[args[0]] = v
}

// run plays one command.
func (s *story) run(line string) {
	f := strings.Fields(line)
	switch args := f[1:]; f[0] {
	case "view":
		s.view(args)
	case "install":
		n := s.node(nodeOf(args[0]))
		done := n.manager.Install(s.views[args[1]], s.now)
		s.say("manager keeps %d buckets, starts %d, drops %d", done.Kept, done.Fresh, done.Dropped)
		s.did(nodeOf(args[0]), n.reporter.Install(s.views[args[1]], s.now))
		s.say("owes %d buckets and %d holdings", n.reporter.OwedBuckets(), n.reporter.OwedHoldings())
	case "known":
		var known []cluster.Known
		for _, a := range args[1:] {
			id, sole := strings.CutSuffix(a, "!")
			known = append(known, cluster.Known{Endpoint: cluster.Endpoint{ID: nodeOf(id)}, Sole: sole})
		}
		s.node(nodeOf(args[0])).manager.SetKnown(known)
	case "commit":
		s.commit(args)
	case "scan":
		s.scan()
	case "deliver":
		s.deliver(true)
	case "lose":
		s.deliver(false)
	case "wait":
		d, err := time.ParseDuration(args[0])
		if err != nil {
			panic(err)
		}
		s.now = s.now.Add(d)
		for _, id := range s.ids() {
			s.node(id).manager.Tick(s.now)
			s.did(id, s.node(id).reporter.Tick(s.now))
		}
	case "settle": // scan and deliver, without a word, until nothing is owed
		said := s.out.String()
		for len(s.scans)+len(s.pushes) > 0 {
			s.scan()
			s.deliver(true)
		}
		s.out.Reset()
		s.out.WriteString(said)
	case "lookup":
		s.lookup(nodeOf(args[0]), args[1])
	default:
		panic("unknown command " + line)
	}
}

func (s *story) ids() []cluster.NodeID {
	var ids []cluster.NodeID
	for id := range s.nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// commit reads "2 alice 7 mail", "2 alice 8 profile@5", "2 alice 9": node, owner, Seq, contents.
func (s *story) commit(args []string) {
	id := nodeOf(args[0])
	h := holding(id, args[1], epochOf(args[2]).Counter, args[3:]...)
	s.node(id).disk[h.Owner] = h
	s.did(id, s.node(id).reporter.Register(h, s.now))
}

func holding(id cluster.NodeID, owner string, seq uint64, contents ...string) cluster.Holding {
	h := cluster.Holding{Owner: owner, Seq: seq}
	for _, c := range contents {
		if at, ok := strings.CutPrefix(c, "profile@"); ok {
			h.Cached = append(h.Cached, cluster.CachedObject{Object: cluster.Object{
				ID:        cluster.ObjectID{Type: "user", Owner: owner, ID: "p"},
				Timestamp: cluster.Timestamp{Time: int64(epochOf(at).Counter), Node: id},
			}})
			continue
		}
		h.Fragments = append(h.Fragments, cluster.Fragment{Type: cluster.ObjectType(c), Replicas: cluster.ReplicaSet{id}, Count: 1})
	}
	return h
}

// scan answers the scans asked for, with the disks as they are now.
func (s *story) scan() {
	scans := s.scans
	s.scans = nil
	for _, sc := range scans {
		disk := make(map[cluster.Bucket][]cluster.Holding)
		for owner, h := range s.node(sc.node).disk {
			if !h.IsEmpty() {
				b := clusterID.BucketOf(owner)
				disk[b] = append(disk[b], h)
			}
		}
		var got []Scanned
		for _, b := range sc.scan.Buckets {
			slices.SortFunc(disk[b], func(a, b cluster.Holding) int { return cmp.Compare(a.Owner, b.Owner) })
			got = append(got, Scanned{Bucket: b, Holdings: disk[b]})
		}
		s.did(sc.node, s.node(sc.node).reporter.Scanned(sc.scan.Attempt, got, s.now))
	}
}

// deliver hands the pushes under way to their managers, or loses them.
func (s *story) deliver(arrive bool) {
	pushes := s.pushes
	s.pushes = nil
	for _, o := range pushes {
		if !arrive {
			continue
		}
		err := s.node(o.To).manager.Receive(o.Push, s.now)
		if err != nil {
			s.say("%d refuses push of %d: %v", o.To, o.Push.From, cluster.KindOf(err))
		}
		s.did(o.Push.From, s.node(o.Push.From).reporter.Answered(o.Push.ID, err, s.now))
	}
}

// did shows an output and keeps it to be carried out.
func (s *story) did(id cluster.NodeID, out Output) {
	for _, sc := range out.Scans {
		s.say("%d scans %d buckets for %d", id, len(sc.Buckets), sc.To)
		s.scans = append(s.scans, storyScan{id, sc})
	}
	for _, o := range out.Pushes {
		var what []string
		for _, h := range o.Push.Holdings {
			what = append(what, fmt.Sprintf("%s#%d", h.Owner, h.Seq))
		}
		if len(o.Push.Complete) > 0 {
			what = append(what, fmt.Sprintf("%d markers", len(o.Push.Complete)))
		}
		s.say("%d pushes to %d in epoch %d: %s", id, o.To, o.Push.Epoch.Counter, strings.Join(what, " "))
		s.pushes = append(s.pushes, o)
	}
}

func (s *story) lookup(id cluster.NodeID, owner string) {
	e, err := s.node(id).manager.Lookup(owner)
	if err != nil {
		s.say("%v", cluster.KindOf(err))
		return
	}
	text := e.Knowledge.String()
	for _, p := range e.Fragments {
		text += fmt.Sprintf(" %s at %d", p.Type, p.Holders)
	}
	for _, c := range e.Cached {
		text += fmt.Sprintf(" profile of %d", c.Object.Timestamp.Time)
	}
	s.say("%s", text)
}

func (s *story) say(format string, args ...any) { fmt.Fprintf(&s.out, "    "+format+"\n", args...) }

// TestTranscripts plays the stories in testdata and compares what happened.
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			s := newStory()
			for lines := bufio.NewScanner(strings.NewReader(string(want))); lines.Scan(); {
				line := lines.Text()
				if strings.HasPrefix(line, "    ") {
					continue
				}
				s.out.WriteString(line + "\n")
				if line != "" && line[0] != '#' {
					s.run(line)
				}
			}
			if *update {
				if err := os.WriteFile(file, []byte(s.out.String()), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if s.out.String() != string(want) {
				t.Errorf("transcript differs; look at the change with -update. Got:\n%s", s.out.String())
			}
		})
	}
}
