package imapproxy

import (
	"fmt"
	"testing"
	"time"

	"porcupine/internal/mail"
)

// A user whom no session watches any more stays watched until that is due again, so that a client which opens one folder
// after the other has its manager asked once; then the watch goes, and before that it makes room for others.
func TestWatchesLinger(t *testing.T) {
	w := newWorld(t, 3)
	p := w.nodes[0].proxy
	p.cfg.UsersMax = 2
	all := newWatches(p)
	none := func([]mail.FolderID) {}
	first := all.begin(user, none)
	now := time.Now()
	if due := all.dueAt(p.cluster.View(), now); len(due) != 1 {
		t.Fatalf("%d watches are due at first", len(due))
	}
	all.renew(t.Context(), user)
	all.end(first)
	again := all.begin(user, none)
	if due := all.dueAt(p.cluster.View(), now); len(due) != 0 {
		t.Errorf("the manager is asked again for a user who was watched a moment ago")
	}
	told := 0
	second := all.begin(user, func([]mail.FolderID) { told++ })
	if all.tell(user, nil); told != 1 {
		t.Errorf("a session of a watch that was there is told %d times", told)
	}
	all.end(again)
	all.end(second)
	var others []*watcher
	for i := range 3 {
		others = append(others, all.begin(mail.User(fmt.Sprint("other", i)), none))
	}
	if len(all.users) != 2 || all.users[user] != nil {
		t.Errorf("%d users are watched, want the two with sessions", len(all.users))
	}
	for _, s := range others {
		all.end(s)
	}
	if due := all.dueAt(p.cluster.View(), now.Add(2*renewEvery)); len(due) != 0 || len(all.users) != 0 {
		t.Errorf("%d watches without sessions are renewed, %d kept", len(due), len(all.users))
	}
}
