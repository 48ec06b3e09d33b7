package membership_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"porcupine/internal/cluster"
)

var update = flag.Bool("update", false, "rewrite the transcripts in testdata")

// TestTranscripts plays the stories of testdata. A line that begins with "> " is a command, one
// that begins with "#" a comment; what else there is are the outputs, compared with what the
// cores really do. Nodes are letters, an epoch is "counter.coordinator".
//
//	boot a b ...     start nodes, first time or again; all know the address of a
//	run 3s           let time pass; events are printed as they happen
//	crash a          kill the process
//	pause a, resume a, leave a, suspect a b (a's call to b failed), forget a b
//	copy a           copy its data directory
//	restore a        put the copy back (its process does not run)
//	twin a           start a second process, a', on the copy
//	grace 1m         the grace period of nodes started from now on
//	cut a b, oneway a b, heal    break links: both ways, from a to b; mend all
//	delay 80ms       every message takes that long
//	messages on|off  print messages too, but for pings and pongs
//	views            who has what installed
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(want))
			if *update {
				if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(want) {
				t.Errorf("%s differs; got:\n%s\n(-update rewrites it, then read the difference)", file, got)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	w := newWorld(1)
	w.stand = func(*node) bool { return true } // the story tells
	var b strings.Builder
	w.trace = func(format string, args ...any) {
		line := fmt.Sprintf(format, args...)
		if strings.HasSuffix(line, " ping") || strings.HasSuffix(line, " pong") {
			return
		}
		fmt.Fprintf(&b, "%7.3f %s\n", w.now.Sub(w.start).Seconds(), pretty(line))
	}
	for _, line := range strings.Split(strings.TrimRight(script, "\n"), "\n") {
		switch {
		case strings.HasPrefix(line, "#") || line == "":
			b.WriteString(line + "\n")
		case strings.HasPrefix(line, "> "):
			b.WriteString(line + "\n")
			w.command(t, &b, strings.Fields(line[2:]))
		}
	}
	w.check(t)
	return b.String()
}

var (
	idPattern   = regexp.MustCompile(`0{14}[0-9a-f]{2}`)
	addrPattern = regexp.MustCompile(`(n|twin)([0-9]+)\.test:90`)
)

// pretty writes ids and addresses as letters.
func pretty(s string) string {
	s = idPattern.ReplaceAllStringFunc(s, func(hex string) string {
		id, _ := strconv.ParseUint(hex, 16, 64)
		return name(cluster.NodeID(id))
	})
	return addrPattern.ReplaceAllStringFunc(s, func(addr string) string {
		found := addrPattern.FindStringSubmatch(addr)
		id, _ := strconv.ParseUint(found[2], 10, 64)
		return name(cluster.NodeID(id)) + strings.TrimPrefix(strings.ReplaceAll(found[1], "twin", "n'"), "n")
	})
}

func (w *world) command(t *testing.T, b *strings.Builder, words []string) {
	t.Helper()
	var ids []cluster.NodeID
	for _, x := range words[1:] {
		if len(x) == 1 {
			ids = append(ids, cluster.NodeID(x[0]-'a'+1))
		}
	}
	switch words[0] {
	case "boot":
		for _, id := range ids {
			w.boot(id, 1)
		}
	case "run":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		w.run(d)
	case "delay":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		w.delay = d
	case "crash":
		w.crash(ids[0])
	case "copy":
		w.copies[ids[0]] = w.nodes[ids[0]].disk
	case "restore":
		n := w.nodes[ids[0]]
		n.disk, n.last, n.view = w.copies[n.id], cluster.Epoch{}, nil // M2 cannot hold for a copy
	case "twin":
		w.twin(ids[0], 1)
	case "grace":
		d, err := time.ParseDuration(words[1])
		if err != nil {
			t.Fatal(err)
		}
		w.grace = d
	case "pause":
		w.pause(ids[0])
	case "resume":
		w.resume(ids[0])
	case "leave":
		w.obey(w.nodes[ids[0]], w.nodes[ids[0]].core.Leave(w.now))
	case "suspect":
		w.obey(w.nodes[ids[0]], w.nodes[ids[0]].core.Suspect(w.now, ids[1]))
	case "forget":
		out, err := w.nodes[ids[0]].core.Forget(w.now, ids[1])
		if err != nil {
			fmt.Fprintf(b, "        %s\n", pretty(err.Error()))
		}
		w.obey(w.nodes[ids[0]], out)
	case "cut":
		w.split(ids[:1], ids[1:], true)
	case "oneway":
		w.oneWay(ids[0], ids[1], true)
	case "heal":
		clear(w.cut)
	case "messages":
		w.watchOn = words[1] == "on"
	case "views":
		w.printViews(b)
	default:
		t.Fatalf("transcript: unknown command %q", words[0])
	}
}

func (w *world) printViews(b *strings.Builder) {
	for _, n := range w.live() {
		fmt.Fprintf(b, "        %s has %s:", name(n.id), pretty(n.view.Epoch.String()))
		count := map[cluster.NodeID]int{}
		for _, a := range n.view.Map {
			count[a.Manager]++
		}
		for _, m := range n.view.Members {
			fmt.Fprintf(b, " %s (since %s, %d buckets)", name(m.ID), pretty(m.Since.String()), count[m.ID])
		}
		b.WriteString("\n        knows")
		for _, k := range n.core.Known() {
			b.WriteString(" " + name(k.ID))
		}
		b.WriteString("\n")
	}
}
