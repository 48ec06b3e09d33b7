package folders

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/cluster/replication/join"
	"porcupine/internal/mail"
)

// at is a time of the tests: seconds after a day in 2024, by node 1.
func at(seconds int64) cluster.Timestamp {
	return cluster.Timestamp{Time: (1_710_000_000 + seconds) * int64(time.Second), Node: 1}
}

// drawer gives ids that differ between drawers.
func drawer(side byte) func() mail.FolderID {
	var n byte
	return func() mail.FolderID {
		n++
		return mail.FolderID{side, n, 0xff}
	}
}

// hand is a tree that a test changes step by step.
type hand struct {
	*testing.T
	tree *Tree
	draw func() mail.FolderID
	now  int64
}

func newHand(t *testing.T, side byte) *hand {
	t.Helper()
	tree, err := Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &hand{T: t, tree: tree, draw: drawer(side), now: int64(side)}
}

func (h *hand) stamp() cluster.Timestamp {
	h.now += 100
	return at(h.now)
}

func (h *hand) take(tree *Tree, err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
	again, err := Parse(tree.Marshal())
	if err != nil || !bytes.Equal(again.Marshal(), tree.Marshal()) || tree.size != len(tree.Marshal()) {
		h.Fatalf("what was written is not read: %v", err)
	}
	h.tree = tree
}

func (h *hand) create(name, use string) Folder {
	h.Helper()
	tree, f, err := h.tree.Create(name, use, h.draw, h.stamp())
	h.take(tree, err)
	return f
}

func (h *hand) rename(from, to string) Renamed {
	h.Helper()
	tree, r, err := h.tree.Rename(from, to, h.draw, h.stamp())
	h.take(tree, err)
	return r
}

func (h *hand) delete(name string) Folder {
	h.Helper()
	tree, f, err := h.tree.Delete(name, h.stamp())
	h.take(tree, err)
	return f
}

func (h *hand) subscribe(name string, on bool) {
	h.Helper()
	tree, err := h.tree.Subscribe(name, on, h.stamp())
	h.take(tree, err)
}

// meet joins two trees; both have the result, settled.
func (h *hand) meet(o *hand) []Conflict {
	h.Helper()
	b, err := Merge(h.tree.Marshal(), o.tree.Marshal())
	if err != nil {
		h.Fatal(err)
	}
	tree, err := Parse(b)
	if err != nil {
		h.Fatal(err)
	}
	h.now = max(h.now, o.now)
	tree, conflicts, err := tree.Settle(h.stamp())
	h.take(tree, err)
	o.tree, o.now = tree, h.now
	return conflicts
}

// show writes a listing as one line a name.
func show(t *Tree) string {
	var b strings.Builder
	for _, f := range t.List() {
		fmt.Fprintf(&b, "%s", f.Name)
		for _, mark := range []struct {
			on   bool
			text string
		}{{!f.Exists, " -"}, {f.Children, " +"}, {f.Subscribed, " s"}, {f.Use != "", " " + f.Use}} {
			if mark.on {
				b.WriteString(mark.text)
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (h *hand) want(lines ...string) {
	h.Helper()
	if got, want := show(h.tree), strings.Join(lines, "\n")+"\n"; got != want {
		h.Errorf("listing:\n%swant:\n%s", got, want)
	}
}

func first() []string {
	return []string{"INBOX s", `Archive s \Archive`, `Drafts s \Drafts`, `Junk s \Junk`, `Sent s \Sent`, `Trash s \Trash`}
}

// A new user has INBOX and the default folders, without anything written.
func TestNewUser(t *testing.T) {
	h := newHand(t, 1)
	h.want(first()...)
	seen := map[uint32]bool{}
	for _, f := range h.tree.List() {
		if !f.Exists || f.UIDValidity == 0 || seen[f.UIDValidity] {
			t.Errorf("%+v: want one that exists, with a UIDVALIDITY of its own", f)
		}
		seen[f.UIDValidity] = true
		if id, ok := DefaultID(f.Use); f.Use != "" && (!ok || id != f.ID) {
			t.Errorf("DefaultID(%s) = %v, %t, want %v", f.Use, id, ok, f.ID)
		}
	}
	if f, err := h.tree.Find("iNbOx"); err != nil || f.ID != mail.Inbox || f.UIDValidity != 1 {
		t.Errorf("Find(iNbOx) = %+v, %v", f, err)
	}
}

func TestStory(t *testing.T) {
	h := newHand(t, 1)
	work := h.create("Work/2024/", "")
	h.create("inbox/later", "")
	h.want("INBOX + s", "INBOX/later", `Archive s \Archive`, `Drafts s \Drafts`, `Junk s \Junk`, `Sent s \Sent`, `Trash s \Trash`, "Work +", "Work/2024")
	h.subscribe("Work/2024", true)
	h.subscribe("nowhere", true)
	h.subscribe("Junk", false)
	r := h.rename("Work", "Jobs/old")
	if r.Empty || r.Folder.Name != "Jobs/old" || !r.Folder.Exists {
		t.Errorf("rename = %+v", r)
	}
	moved, err := h.tree.Find("Jobs/old/2024")
	if err != nil || moved.ID != work.ID || moved.UIDValidity != work.UIDValidity {
		t.Errorf("renamed: %+v, %v; want the id and UIDVALIDITY of %+v", moved, err, work)
	}
	h.delete("Jobs/old/2024")
	h.delete("Archive")
	if home := h.tree.Home(work.ID); home != mail.Inbox {
		t.Errorf("home of a message in a deleted folder = %v", home)
	}
	archive, _ := DefaultID(`\Archive`)
	later, _ := h.tree.Find("INBOX/later")
	for id, want := range map[mail.FolderID]bool{work.ID: true, archive: true, later.ID: false, r.Folder.ID: false, mail.Inbox: false, {7}: false} {
		if got := h.tree.IsGone(id); got != want {
			t.Errorf("folder %v is gone: %t", id, got)
		}
	}
	h.want("INBOX + s", "INBOX/later", "Archive - s", `Drafts s \Drafts`, "Jobs +", "Jobs/old", `Junk \Junk`, `Sent s \Sent`, `Trash s \Trash`, "Work/2024 - s", "nowhere - s")
}

// RENAME of INBOX makes a folder, and says what to do (RFC 9051 §6.3.6).
func TestRenameInbox(t *testing.T) {
	h := newHand(t, 1)
	h.create("INBOX/sub", "")
	r := h.rename("inbox", "old/mail")
	if !r.Empty || r.Folder.Name != "old/mail" || r.Folder.ID == mail.Inbox {
		t.Errorf("rename = %+v", r)
	}
	h.want(append([]string{"INBOX + s", "INBOX/sub"}, append(first()[1:], "old +", "old/mail")...)...)
}

func TestSpecialUse(t *testing.T) {
	h := newHand(t, 1)
	h.create("Gesendet", `\sent`)
	h.want("INBOX s", `Archive s \Archive`, `Drafts s \Drafts`, `Gesendet \Sent`, `Junk s \Junk`, "Sent s", `Trash s \Trash`)
	h.delete("Gesendet")
	h.want(first()...)
}

// What cannot be is refused, with its kind, and nothing changes.
func TestRefused(t *testing.T) {
	h := newHand(t, 1)
	h.create("a/b", "")
	h.create("c", "")
	h.create("x/a/b", "")
	long := strings.Repeat("n", NameMax+1)
	create := func(name string) func() error {
		return func() error { _, _, err := h.tree.Create(name, "", h.draw, h.stamp()); return err }
	}
	rename := func(from, to string) func() error {
		return func() error { _, _, err := h.tree.Rename(from, to, h.draw, h.stamp()); return err }
	}
	remove := func(name string) func() error {
		return func() error { _, _, err := h.tree.Delete(name, h.stamp()); return err }
	}
	annotate := func(name, entry, value string) func() error {
		return func() error {
			_, err := h.tree.Annotate(name, map[string]*string{entry: &value}, h.stamp())
			return err
		}
	}
	for name, c := range map[string]struct {
		do   func() error
		kind cluster.Kind
	}{
		"create INBOX":             {create("Inbox"), cluster.KindExists},
		"create what is there":     {create("a/b"), cluster.KindExists},
		"create a default":         {create("Sent"), cluster.KindExists},
		"create nothing":           {create(""), cluster.KindInvalid},
		"create a separator":       {create("/"), cluster.KindInvalid},
		"an empty level":           {create("a//b"), cluster.KindInvalid},
		"leading separator":        {create("/a"), cluster.KindInvalid},
		"two trailing separators":  {create("n//"), cluster.KindInvalid},
		"a namespace":              {create("#news"), cluster.KindInvalid},
		"NUL":                      {create("a\x00b"), cluster.KindInvalid},
		"DEL":                      {create("a\x7f"), cluster.KindInvalid},
		"C1":                       {create("a\u0085"), cluster.KindInvalid},
		"a line separator":         {create("a\u2028"), cluster.KindInvalid},
		"not UTF-8":                {create("a\xff"), cluster.KindInvalid},
		"too long":                 {create(long), cluster.KindLimit},
		"too deep":                 {create(strings.Repeat("d/", DepthMax) + "d"), cluster.KindLimit},
		"unknown use":              {func() error { _, _, err := h.tree.Create("n", `\Nonsense`, h.draw, h.stamp()); return err }, cluster.KindInvalid},
		"delete INBOX":             {remove("INBOX"), cluster.KindDenied},
		"delete with children":     {remove("a"), cluster.KindDenied},
		"delete what is not there": {remove("nope"), cluster.KindNotFound},
		"rename what is not there": {rename("nope", "n"), cluster.KindNotFound},
		"rename onto INBOX":        {rename("c", "inbox"), cluster.KindExists},
		"rename onto another":      {rename("c", "a"), cluster.KindExists},
		"rename onto itself":       {rename("c", "c"), cluster.KindExists},
		"rename below itself":      {rename("c", "c/d"), cluster.KindInvalid},
		"rename INBOX onto one":    {rename("INBOX", "c"), cluster.KindExists},
		"rename makes it too long": {rename("a", long[:NameMax]), cluster.KindLimit},
		"subscribe to nothing":     {func() error { _, err := h.tree.Subscribe("", true, h.stamp()); return err }, cluster.KindInvalid},
		"annotate nothing there":   {annotate("nope", "/private/comment", "x"), cluster.KindNotFound},
		"entry without a prefix":   {annotate("c", "comment", "x"), cluster.KindInvalid},
		"entry with a wildcard":    {annotate("c", "/private/*", "x"), cluster.KindInvalid},
		"entry that ends in /":     {annotate("", "/shared/a/", "x"), cluster.KindInvalid},
		"entry of the special use": {annotate("c", "/private/SpecialUse", `\Sent`), cluster.KindDenied},
		"value too large":          {annotate("c", "/private/comment", strings.Repeat("x", AnnotationMax+1)), cluster.KindLimit},
		"entry too long":           {annotate("c", "/private/"+long, "x"), cluster.KindLimit},
		"bump of nothing":          {func() error { _, _, err := h.tree.Bump(mail.FolderID{9}, h.stamp()); return err }, cluster.KindNotFound},
		"a broken random source": {func() error {
			_, _, err := h.tree.Create("n", "", func() mail.FolderID { return mail.Inbox }, h.stamp())
			return err
		}, cluster.KindInternal},
	} {
		before := h.tree.Marshal()
		if err := c.do(); !cluster.IsKind(err, c.kind) {
			t.Errorf("%s: %v, want kind %v", name, err, c.kind)
		}
		if !bytes.Equal(before, h.tree.Marshal()) {
			t.Errorf("%s: the tree has changed", name)
		}
	}
}

// A folder below a name that is no folder can be renamed by that name, and not onto others.
func TestRenameOfParts(t *testing.T) {
	a, b := newHand(t, 1), newHand(t, 2)
	a.create("top", "")
	a.meet(b)
	b.create("top/low", "")
	a.delete("top")
	a.meet(b)
	a.want(append(first(), "top - +", "top/low")...)
	a.create("new/low", "")
	a.delete("Trash")
	if _, _, err := a.tree.Rename("top", "Trash", a.draw, a.stamp()); err != nil {
		t.Errorf("rename of what is below: %v", err)
	}
	if _, _, err := a.tree.Rename("top", "new", a.draw, a.stamp()); !cluster.IsKind(err, cluster.KindExists) {
		t.Errorf("rename onto a folder: %v", err)
	}
	r := a.rename("top", "roof")
	if r.Folder.Exists || r.Folder.Name != "roof" {
		t.Errorf("renamed = %+v", r)
	}
	if _, err := a.tree.Find("roof/low"); err != nil {
		t.Error(err)
	}
}

func TestAttack33_Names(t *testing.T) {
	for in, want := range map[string]string{
		"INBOX": "INBOX", "inbox": "INBOX", "Inbox/a": "INBOX/a", "INBOXES": "INBOXES", "a/inbox": "a/inbox",
		"../../etc/passwd": "../../etc/passwd", "e\u0301te\u0301": "été", "été": "été", "&AOk-": "&AOk-", "a b ": "a b ", "%": "%",
		strings.Repeat("n", NameMax): strings.Repeat("n", NameMax),
	} {
		got, err := Canonical(in)
		if err != nil || got != want {
			t.Errorf("Canonical(%q) = %q, %v, want %q", in, got, err, want)
		}
		if again, err := Canonical(got); err != nil || again != got {
			t.Errorf("Canonical(Canonical(%q)) = %q, %v", in, again, err)
		}
	}
}

func TestAnnotations(t *testing.T) {
	h := newHand(t, 1)
	h.create("a", "")
	one, empty := "one", ""
	set := func(name string, values map[string]*string) {
		t.Helper()
		tree, err := h.tree.Annotate(name, values, h.stamp())
		h.take(tree, err)
	}
	check := func(name string, want map[string]string) {
		t.Helper()
		got, err := h.tree.Annotations(name)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("annotations of %q = %v, %v, want %v", name, got, err, want)
		}
	}
	set("a", map[string]*string{"/private/Comment": &one, "/shared/empty": &empty})
	set("", map[string]*string{"/shared/admin": &one})
	h.rename("a", "b")
	check("b", map[string]string{"/private/comment": "one", "/shared/empty": ""})
	check("", map[string]string{"/shared/admin": "one"})
	set("b", map[string]*string{"/PRIVATE/comment": nil, "/private/not-there": nil})
	check("b", map[string]string{"/shared/empty": ""})
	if _, err := h.tree.Annotations("nope"); !cluster.IsKind(err, cluster.KindNotFound) {
		t.Errorf("annotations of nothing: %v", err)
	}
	for i := range AnnotationsMax - 1 {
		set("b", map[string]*string{fmt.Sprintf("/private/n%d", i): &one})
	}
	if _, err := h.tree.Annotate("b", map[string]*string{"/private/more": &one}, h.stamp()); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("one annotation too many: %v", err)
	}
	large := strings.Repeat("x", AnnotationMax)
	for i := 0; ; i++ {
		tree, err := h.tree.Annotate([]string{"", "INBOX"}[i%2], map[string]*string{fmt.Sprintf("/private/large%d", i): &large}, h.stamp())
		if cluster.IsKind(err, cluster.KindLimit) && i > AnnotationsBytesMax/AnnotationMax/2 {
			break
		}
		h.take(tree, err)
	}
}

// TestLimits: folders and subscriptions are bounded; deleting always works.
func TestLimits(t *testing.T) {
	h := newHand(t, 1)
	n := 0
	draw := func() mail.FolderID { n++; return mail.FolderID{1, byte(n >> 8), byte(n), 1} }
	for i := 0; ; i++ {
		name := fmt.Sprintf("%d%s", i, strings.Repeat("/l", DepthMax-1))
		tree, _, err := h.tree.Create(name, "", draw, h.stamp())
		if cluster.IsKind(err, cluster.KindLimit) {
			break
		}
		h.take(tree, err)
	}
	if k := len(h.tree.List()); k <= FoldersMax-DepthMax || k > FoldersMax {
		t.Errorf("%d folders, at most %d allowed", k, FoldersMax)
	}
	d := h.tree.draft(h.stamp())
	for i := range SubscriptionsMax {
		d.set(fmt.Sprintf("%c%d", kindSubscribed, i), yes())
	}
	h.tree = newTree(d.registers)
	if _, err := h.tree.Subscribe("another", true, h.stamp()); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("one subscription too many: %v", err)
	}
	d = h.tree.draft(h.stamp())
	for i := 0; newTree(d.registers).size <= ContentsMax; i++ {
		d.set(fmt.Sprintf("Z%d", i), make([]byte, join.ValueMax))
	}
	h.tree = newTree(d.registers)
	tree, err := h.tree.Subscribe("0", false, h.stamp())
	h.take(tree, err)
	h.delete("0" + strings.Repeat("/l", DepthMax-1))
	if _, _, err := h.tree.Create("another", "", draw, h.stamp()); !cluster.IsKind(err, cluster.KindLimit) {
		t.Errorf("a folder more in a full tree: %v", err)
	}
}

// A client that makes and deletes folders all day long does not fill the tree.
func TestChurn(t *testing.T) {
	h := newHand(t, 1)
	h.create("stays", "")
	h.delete("Junk")
	n := 0
	draw := func() mail.FolderID { n++; return mail.FolderID{1, byte(n >> 16), byte(n >> 8), byte(n), 1} }
	shown := map[string]uint32{}
	for i := range 1400 {
		name := fmt.Sprintf("test %d", i%7)
		tree, f, err := h.tree.Create(name, "", draw, h.stamp())
		if err != nil {
			t.Fatalf("after %d: %v", i, err)
		}
		if f.UIDValidity <= shown[name] {
			t.Fatalf("U4: UIDVALIDITY %d of %s, after %d", f.UIDValidity, name, shown[name])
		}
		shown[name] = f.UIDValidity
		if h.tree, _, err = tree.Delete(name, h.stamp()); err != nil {
			t.Fatal(err)
		}
	}
	if h.tree.size > ContentsMax || counter(h.tree.registers, counterHorizon) == 0 {
		t.Errorf("%d bytes, and the horizon is at %d", h.tree.size, counter(h.tree.registers, counterHorizon))
	}
	h.want("INBOX s", `Archive s \Archive`, `Drafts s \Drafts`, "Junk - s", `Sent s \Sent`, `Trash s \Trash`, "stays")
	// A name whose history is forgotten gets a new UIDVALIDITY all the same.
	h.rename("stays", "test 1")
	if f, err := h.tree.Find("test 1"); err != nil || f.UIDValidity <= shown["test 1"] {
		t.Errorf("U4: renamed to a name that was used: %+v, %v, after %d", f, err, shown["test 1"])
	}
}

// What a later version writes is kept.
func TestLaterVersion(t *testing.T) {
	r := join.Registers{{Name: "Zzz", Time: at(1), Value: []byte("new")}}
	r = append(r, join.Register{Name: nameOf(kindFolder, mail.FolderID{7}, ""), Time: at(1), Value: []byte("Xnew form")})
	tree, err := Parse(r.Marshal())
	if err != nil {
		t.Fatal(err)
	}
	if home := tree.Home(mail.FolderID{7}); home != mail.Inbox {
		t.Errorf("home in a folder of a later form = %v", home)
	}
	tree, _, err = tree.Create("a", "", drawer(1), at(2))
	if err != nil {
		t.Fatal(err)
	}
	tree = tree.forgetBefore(at(5).Time)
	for _, want := range r {
		if got, ok := tree.registers.Get(want.Name); !ok || !slices.Equal(got.Value, want.Value) {
			t.Errorf("register %q is %v, %t", want.Name, got, ok)
		}
	}
}
