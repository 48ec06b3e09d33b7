package index

import (
	"testing"
	"time"

	"porcupine/internal/mail/index/talk"
)

// U5: a node that stood still until its watch ran out, and takes itself for one that is told, hears that it was not.
func TestU5_WatchThatRanOut(t *testing.T) {
	w := newWorld(t, Config{Follow: silent}, 2)
	u := w.user("a", 1)
	w.MoveBucket(string(u), 1)
	q := talk.Question{Op: talk.OpWatch, User: u, On: true}
	w.mustAsk(t, q)
	if a := w.mustAsk(t, q); a.More {
		t.Error("a watch that was renewed in time has missed something")
	}
	x := w.indexes[0]
	x.tidy(t.Context(), time.Now().Add(x.cfg.WatchFor))
	if w.figures().Watched != 0 {
		t.Fatal("the watch has not run out")
	}
	if a := w.mustAsk(t, q); !a.More {
		t.Error("a watch that ran out has missed nothing")
	}
	if a := w.mustAsk(t, q); a.More {
		t.Error("that is said twice")
	}
}
