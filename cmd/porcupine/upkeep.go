package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"porcupine/internal/admin"
)

type nodeDrainCmd struct {
	configFlag
	ID     string `arg:"" help:"The node's id, as 'porcupine node list' shows it."`
	Cancel bool   `help:"End the draining: the node takes new mail again."`
	Wait   bool   `help:"Return when the node is empty and has left, and show how far it is."`
	fewerFlag
}

// fewerFlag is shared by the commands that take nodes out.
type fewerFlag struct {
	FewerCopies bool `help:"Do it though fewer nodes stay than messages are to have copies: one more failure may then lose mail."`
}

// suffix is what a command that is suggested needs to mean the same.
func (f fewerFlag) suffix() string {
	if f.FewerCopies {
		return " --fewer-copies"
	}
	return ""
}

// drainPoll is how often a waiting drain looks.
const drainPoll = time.Second

func (c *nodeDrainCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	if err := client.Drain(e.ctx, c.ID, admin.DrainOptions{Cancel: c.Cancel, FewerCopies: c.FewerCopies}); err != nil {
		return err
	}
	if c.Cancel {
		fmt.Fprintf(e.out, "Node %s takes new mail again.\n", c.ID)
		return nil
	}
	if !c.Wait {
		fmt.Fprintf(e.out, "Node %s takes nothing new and moves off what it has; 'porcupine status' shows how far it is. Then it leaves, and its process ends.\n", c.ID)
		return nil
	}
	return c.wait(e, client)
}

// wait shows the progress until the node has left.
func (c *nodeDrainCmd) wait(e *env, client *admin.Client) error {
	var last *admin.Member // as it was seen last; nil: never
	seen := ""
	for {
		s, err := client.Status(e.ctx)
		if err != nil && last != nil {
			// It may be this very node that has left.
			return fmt.Errorf("the node that was asked does not answer any more (it has left, if it is the one that drains, and was last seen so: %s): %w", seen, err)
		}
		if err != nil {
			return err
		}
		i := slices.IndexFunc(s.Members, func(m admin.Member) bool { return m.ID.String() == c.ID })
		if i < 0 {
			return c.gone(e.out, last)
		}
		if m := &s.Members[i]; last == nil || m.Upkeep != nil { // while it leaves it does not say any more
			last = m
		}
		if text := drainLine(last, time.Now()); text != seen {
			seen = text
			fmt.Fprintln(e.out, text)
		}
		select {
		case <-e.ctx.Done():
			return fmt.Errorf("node drain: not waited for any longer; the node goes on: %w", e.ctx.Err())
		case <-time.After(drainPoll):
		}
	}
}

// gone says what it means that the node is no member any more. One that was not empty has not left, it has
// failed, and who strikes it then loses what lies on it alone.
func (c *nodeDrainCmd) gone(w io.Writer, last *admin.Member) error {
	if last == nil || last.Upkeep == nil || !wasEmpty(last.Upkeep) {
		seen := "it was never seen to drain"
		if last != nil {
			seen = "it was last seen so: " + drainLine(last, time.Now())
		}
		return fmt.Errorf("node %s is not a member any more, and was not known to be empty (%s): do not strike it; when it is started again it goes on draining", c.ID, seen)
	}
	fmt.Fprintf(w, "Node %s has left. Nothing lies on it any more; 'porcupine node remove %s%s%s' strikes it from the list.\n", c.ID, c.ID, c.fewerFlag.suffix(), c.configFlag.suffix())
	return nil
}

// wasEmpty reports whether a node that drained was known to have nothing left, no update that it alone remembers either. A
// node that has just been started has counted nothing yet.
func wasEmpty(u *admin.Upkeep) bool {
	counted := !u.MissingOld && u.DrainUnread == 0
	return u.Drained || u.Draining && counted && u.DrainLeft == 0 && u.Records == 0
}

// drainLine says how far a node that drains is, and what it waits for.
func drainLine(m *admin.Member, now time.Time) string {
	if m.Upkeep == nil {
		return fmt.Sprintf("%s %s: it did not say how far it is", m.ID, m.Name)
	}
	u, text := m.Upkeep, ""
	switch {
	case u.DrainLeft == 0:
		text = emptyLine(u, now)
	case u.DrainHeld == 0:
		text = fmt.Sprintf("%d objects left", u.DrainLeft)
	case len(u.DrainWaits) == 0:
		text = fmt.Sprintf("%d objects left; %d of them no other node can take: there are too few, or they are full or drain too", u.DrainLeft, u.DrainHeld)
	default:
		text = fmt.Sprintf("%d objects left; %d of them would have too few copies without the absent nodes %s: start those, or strike them with 'porcupine node remove'",
			u.DrainLeft, u.DrainHeld, nodeList(u.DrainWaits))
	}
	if u.Lost > 0 && u.DrainLeft > 0 {
		text += fmt.Sprintf("; %d are damaged, cannot be moved, and no other node could give them (for example %s): the drain does not end before they are deleted; "+
			"to give them up, stop the node when nothing else is left on it, and strike it with 'porcupine node remove'", u.Lost, first(u.LostExamples))
	}
	return fmt.Sprintf("%s %s drains: %s", m.ID, m.Name, text)
}

// emptyLine says what a node on which no object is left waits for before it leaves.
func emptyLine(u *admin.Upkeep, now time.Time) string {
	switch {
	case u.Drained:
		return "empty, and leaves: it ends its clients' sessions, for which it waits as long as limits.shutdown_grace at most"
	case u.MissingOld:
		return "a node came or went, or it has just been started: it counts what is left on it"
	case u.DrainUnread > 0:
		return "some buckets of its store cannot be read, so it is not known to be empty: see its log"
	case u.Records > 0 && len(u.DrainWaits) == 0:
		return fmt.Sprintf("empty but for %d update records, which other nodes are being told of", u.Records)
	case u.Records > 0:
		return fmt.Sprintf("empty but for %d update records that wait for absent nodes: %s; start them, or strike them with 'porcupine node remove'",
			u.Records, nodeList(u.DrainWaits))
	case u.DrainFrom.After(now):
		return fmt.Sprintf("empty; it was started less than a minute ago, and waits until %s for 'porcupine node drain --cancel'", u.DrainFrom.Local().Format(time.TimeOnly))
	}
	return "empty; it looks once more for what was under way to it, and leaves"
}

// missingLine says how many objects have too few copies, and what becomes of it; empty: none has.
func missingLine(s *admin.Status, now time.Time) string {
	var missing, pending int64
	var at time.Time
	old := false
	for i := range s.Members {
		u := s.Members[i].Upkeep
		if u == nil {
			continue
		}
		old = old || u.MissingOld
		missing += u.Missing
		pending += u.RepairPending
		if at.IsZero() || !u.RepairAt.IsZero() && u.RepairAt.Before(at) {
			at = u.RepairAt
		}
	}
	what := "repair looks at them again within a minute; what stays so waits for room on the other nodes"
	switch {
	case missing == 0:
		return ""
	case old && pending > 0:
		return fmt.Sprintf("%d objects %s had fewer live copies than wanted before a node came or went: they are being repaired, and counted again after that", missing, missingKinds)
	case old:
		return fmt.Sprintf("%d objects %s had fewer live copies than wanted before a node came or went: they are being counted again", missing, missingKinds)
	case at.After(now) && len(s.Absent) == 1:
		what = fmt.Sprintf("repair begins in %v if the absent node stays away", at.Sub(now).Round(time.Second))
	case at.After(now) && len(s.Absent) > 1:
		what = fmt.Sprintf("repair begins in %v if the absent nodes stay away", at.Sub(now).Round(time.Second))
	case pending > 0:
		what = "they are being repaired"
	case len(s.Absent) > 0:
		what = fmt.Sprintf("no node that is there can take another copy (each has one, is full, or drains): they wait for %s: start what is absent, or add a node", absentList(s.Absent))
	}
	return fmt.Sprintf("%d objects %s have fewer live copies than wanted: %s", missing, missingKinds, what)
}

// missingKinds says what missingLine counts: more than the column OBJECTS does.
const missingKinds = "(messages, users, aliases, domains, folders)"

// absentShown bounds the absent nodes that are named in one line.
const absentShown = 4

func absentList(absent []admin.Absent) string {
	var names []string
	for i := range absent[:min(len(absent), absentShown)] {
		names = append(names, fmt.Sprintf("%s %s", absent[i].ID, absent[i].Name))
	}
	if more := len(absent) - absentShown; more > 0 {
		names = append(names, fmt.Sprintf("%d more", more))
	}
	return strings.Join(names, ", ")
}

// writeUpkeep writes a line for each thing that members do by themselves, or have found.
func writeUpkeep(w io.Writer, s admin.Status) {
	line := func(m *admin.Member, format string, args ...any) {
		fmt.Fprintf(w, "%s %s "+format+"\n", append([]any{m.ID, m.Name}, args...)...)
	}
	if text := missingLine(&s, time.Now()); text != "" {
		fmt.Fprintln(w, text)
	}
	if n := together(&s); n > 0 {
		fmt.Fprintf(w, "%d objects have two copies on one machine; one of each is being moved to another machine, slowly (upkeep.rebalance_rate)\n", n)
	}
	for i := range s.Members {
		m := &s.Members[i]
		u := m.Upkeep
		if u == nil {
			continue
		}
		if u.RepairPending > 0 {
			line(m, "repairs: %d objects pending, %d done (%.1f MiB), %d failed and tried again, for %v", u.RepairPending, u.RepairDone,
				float64(u.RepairBytes)/(1<<20), u.RepairFailed, time.Since(u.RepairSince).Round(time.Second))
		}
		if u.Draining {
			fmt.Fprintln(w, drainLine(m, time.Now()))
		}
		if u.Divergences > 0 {
			line(m, "found %d copies that differed from others, %d put right: see its log", u.Divergences, u.Mended)
		}
		if u.Damaged > 0 {
			line(m, "found %d damaged contents, %d replaced from other copies: its disk should be looked at", u.Damaged, u.Healed)
		}
		if u.Lost > 0 {
			line(m, "has %d damaged contents that no other node could give, for example %s", u.Lost, first(u.LostExamples))
		}
	}
}

// together counts the objects with two copies on one machine that need not lie so.
func together(s *admin.Status) (n int64) {
	for i := range s.Members {
		if u := s.Members[i].Upkeep; u != nil {
			n += u.Together
		}
	}
	return n
}

func first(list []string) string {
	if len(list) == 0 {
		return "those in its log"
	}
	return list[0]
}

type verifyCmd struct {
	configFlag
	Contents bool          `help:"Read all contents on all nodes too. That takes as long as reading their disks."`
	Wait     time.Duration `help:"How long to wait for updates that are under way, for what changed in the last seconds to be old enough to be compared (12 s), and to try again when nodes come or go meanwhile." default:"30s"`
	JSON     bool          `help:"Machine-readable."`
}

// verifyWaitWhole is the shortest --wait with which what has just changed is compared too.
const verifyWaitWhole = 15 * time.Second

// Validate says which times are allowed.
func (c *verifyCmd) Validate() error {
	if c.Wait <= 0 {
		return fmt.Errorf("--wait %v: write a time above 0 such as 30s or 2m", c.Wait)
	}
	return nil
}

func (c *verifyCmd) Run(e *env) error {
	client, err := c.client()
	if err != nil {
		return err
	}
	v, err := client.VerifyCluster(e.ctx, admin.VerifyOptions{Contents: c.Contents, Wait: c.Wait})
	if err != nil {
		fmt.Fprintln(e.errOut, "porcupine: the copies could not be compared:", err)
		return exitCode(exitUnknown)
	}
	if c.JSON {
		enc := json.NewEncoder(e.out)
		enc.SetIndent("", "  ")
		if err := enc.Encode(v); err != nil {
			return err
		}
	} else {
		writeVerification(e.out, &v)
	}
	return verifyStatus(&v)
}

// verifyStatus is what the command ends with: nil only if all was compared and is well.
func verifyStatus(v *admin.Verification) error {
	switch {
	case v.Divergences+v.UnderReplicated+v.Damaged > 0:
		return exitCode(exitFailed)
	case !v.OK: // nothing was found, but not everything was looked at
		return exitCode(exitUnknown)
	}
	return nil
}

func writeVerification(w io.Writer, v *admin.Verification) {
	for _, d := range v.Details {
		fmt.Fprintln(w, d)
	}
	fmt.Fprintf(w, "%d members, %d objects, %d pairs of copies compared: %d differ, %d objects have too few copies, %d copies are damaged, %d updates are under way\n",
		v.Members, v.Objects, v.Compared, v.Divergences, v.UnderReplicated, v.Damaged, v.Owed)
	switch {
	case v.Young > 0 && v.Complete:
		fmt.Fprintf(w, "%d objects changed after the comparing had begun, less than %v before their turn, and were not compared; what was there before was.\n", v.Young, v.Quiet)
	case v.Young > 0:
		fmt.Fprintf(w, "NOT ALL WAS COMPARED: %d objects changed less than %v ago and were not compared: run it again, with --wait %v or more.\n", v.Young, v.Quiet, verifyWaitWhole)
	}
	if v.Waiting > 0 {
		fmt.Fprintf(w, "NOT ALL WAS COMPARED: of %d pairs of copies an update still waits for a node: run it again; 'porcupine status' shows absent nodes.\n", v.Waiting)
	}
	if v.Owed > 0 {
		fmt.Fprintln(w, "NOT ALL IS KNOWN: some updates were under way until the waiting was over: run it again, with a longer --wait.")
	}
	if v.Divergences+v.Damaged > 0 {
		fmt.Fprintln(w, "What could be put right has been: run it again to see.")
	}
}
