package search

import (
	"strings"
	"time"

	"porcupine/internal/cluster"
	"porcupine/internal/mail"
	"porcupine/internal/mail/message"
)

// Verdict is what is known of a message after a pass.
type Verdict uint8

// The verdicts. Open is left to the next pass.
const (
	Open Verdict = iota
	No
	Yes
)

// Stage is a pass: what it needs to know of a message.
type Stage uint8

// The stages, from what is cheap to what is dear.
const (
	StageSummary Stage = iota
	StageStructure
	StageContents
)

// Program is a compiled search. It does not change any more.
type Program struct {
	root   *node
	stage  Stage
	modSeq bool
	needs  bool // some key asks for more than UID, flags, ModSeq and Saved
	now    time.Time
	// needles are the texts that are looked for in the contents, none twice; leaves name them by index.
	needles []needle
	longest int  // octets of the longest of them in bodies, folded
	fields  bool // some needle is looked for in the message's own header fields, whatever the structure says
	bodies  bool // some needle is looked for in bodies
	texts   bool // some needle is looked for in every header
}

// node is a key, compiled.
type node struct {
	key   Key
	subs  []*node
	stage Stage // of the key itself: subs have their own
	// needle is the index of what a key looks for in the contents, if it comes to that; -1: it never does.
	needle int
	field  *pattern // of OpHeader, where the structure mostly decides: what to look for
}

// Compile makes a program. now is what OLDER and YOUNGER count from. KindLimit: larger than one of the limits;
// KindInvalid: a tree that no search means.
func Compile(k Key, now time.Time) (*Program, error) {
	count := 0
	if err := k.check(1, &count); err != nil {
		return nil, err
	}
	p := &Program{now: now}
	known := map[needleKey]int{}
	p.root = p.compile(k, known)
	if len(p.needles) > NeedlesMax {
		return nil, cluster.Errorf(cluster.KindLimit, "compile search", "%d different texts to look for in messages, at most %d", len(p.needles), NeedlesMax)
	}
	return p, nil
}

func (p *Program) compile(k Key, known map[needleKey]int) *node {
	n := &node{key: k, needle: -1, stage: stageOf(&k)}
	switch k.Op {
	case OpAnd, OpOr, OpNot:
		for _, sub := range k.Keys {
			n.subs = append(n.subs, p.compile(sub, known))
		}
		n.key.Keys = nil
		return n
	case OpModSeq:
		p.modSeq = true
	case OpAll, OpUIDs, OpFlag, OpSavedBefore, OpSavedOn, OpSavedSince:
	default:
		p.needs = true
	}
	switch k.Op {
	case OpEmailID, OpThreadID:
		n.key.Text = strings.ToLower(k.Text)
	case OpHeader:
		n.key.Field = strings.ToLower(k.Field)
		if n.stage == StageStructure {
			n.field = newPattern(foldField(k.Text))
		}
	}
	p.stage = max(p.stage, n.stage)
	if n.stage == StageContents || n.field != nil {
		n.needle = p.needle(n.key, known)
	}
	return n
}

// stageOf says which pass decides a key that has no others in it.
func stageOf(k *Key) Stage {
	switch k.Op {
	case OpSentBefore, OpSentOn, OpSentSince, OpThreadID:
		return StageStructure
	case OpHeader:
		if message.IsTrace(k.Field) {
			return StageContents
		}
		return StageStructure
	case OpBody, OpText:
		if strings.Trim(k.Text, "\r") == "" {
			return StageSummary // every message has the empty text, which this is without CR
		}
		return StageContents
	default:
		return StageSummary
	}
}

// Stage is the last pass that messages need, but for few: what the structure knows of a large header may not be all.
func (p *Program) Stage() Stage { return p.stage }

// UsesModSeq reports whether a key is MODSEQ: the answer then tells the highest one found (RFC 7162 §3.1.5).
func (p *Program) UsesModSeq() bool { return p.modSeq }

// NeedsMessage reports whether messages that are away (mail.Summary.IsAway) cannot be judged.
func (p *Program) NeedsMessage() bool { return p.needs }

// Bound gives the UIDs of a view that can match at all, judged by the UIDs that the keys name: no others need be looked at.
func (p *Program) Bound(view mail.UIDSet) mail.UIDSet { return p.root.bound(view) }

func (n *node) bound(view mail.UIDSet) mail.UIDSet {
	switch n.key.Op {
	case OpUIDs:
		return view.Intersect(n.key.UIDs)
	case OpAnd:
		for _, sub := range n.subs {
			view = sub.bound(view)
		}
	case OpOr:
		var any mail.UIDSet
		for _, sub := range n.subs {
			any = any.Union(sub.bound(view))
		}
		return any
	case OpNot:
		if sub := n.subs[0]; sub.key.Op == OpUIDs {
			return view.Without(sub.key.UIDs)
		}
	}
	return view
}

// BySummary is the first pass.
func (p *Program) BySummary(s *mail.Summary) Verdict {
	return p.root.verdict(&asked{now: p.now, summary: s})
}

// ByStructure is the second pass.
func (p *Program) ByStructure(s *mail.Summary, x *message.Index) Verdict {
	return p.root.verdict(&asked{now: p.now, summary: s, structure: x, fold: new(folder)})
}

// asked is a message under evaluation, as far as it is known.
type asked struct {
	now       time.Time
	summary   *mail.Summary
	structure *message.Index // nil: not yet asked for
	reader    *Reader        // nil: the contents are not being read

	fold         *folder // what folds the fields of the structure
	text, folded []byte  // and where
}

// verdict evaluates a node. Keys are few and not deep (check), so it may call itself. What comes first and
// decides ends it: cheap keys are cheap beside dear ones, wherever they stand, as a dear key is only Open here.
func (n *node) verdict(a *asked) Verdict {
	switch n.key.Op {
	case OpNot:
		switch n.subs[0].verdict(a) {
		case Yes:
			return No
		case No:
			return Yes
		default:
			return Open
		}
	case OpAnd, OpOr:
		decides, all := No, Yes
		if n.key.Op == OpOr {
			decides, all = Yes, No
		}
		for _, sub := range n.subs {
			switch v := sub.verdict(a); v {
			case decides:
				return v
			case Open:
				all = Open
			}
		}
		return all
	}
	switch n.stage {
	case StageSummary:
		return verdictOf(n.bySummary(a))
	case StageStructure:
		if a.structure == nil {
			return Open
		}
		if v := n.byStructure(a); v != Open || a.reader == nil {
			return v
		}
		return a.reader.verdicts[n.needle]
	default:
		if a.reader == nil {
			return Open
		}
		return a.reader.verdicts[n.needle]
	}
}

func verdictOf(yes bool) Verdict {
	if yes {
		return Yes
	}
	return No
}

// bySummary evaluates a key of the first pass.
func (n *node) bySummary(a *asked) bool {
	k, s := &n.key, a.summary
	switch k.Op {
	case OpUIDs:
		return k.UIDs.Contains(s.UID)
	case OpFlag:
		return hasFlag(s.Flags, k.Flag)
	case OpLarger:
		return s.Size > 0 && uint64(s.Size) > k.Number
	case OpSmaller:
		return s.Size < 0 || uint64(s.Size) < k.Number
	case OpBefore, OpOn, OpSince:
		return compareDay(k.Op-OpBefore, DayOf(s.Received), k.Day)
	case OpSavedBefore, OpSavedOn, OpSavedSince:
		return compareDay(k.Op-OpSavedBefore, DayOf(s.Saved), k.Day)
	case OpOlder:
		return a.age() >= int64(min(k.Number, 1<<62))
	case OpYounger:
		return a.age() <= int64(min(k.Number, 1<<62))
	case OpModSeq:
		return uint64(s.ModSeq) >= k.Number
	case OpEmailID:
		return s.Email.String() == k.Text
	}
	return true // OpAll, and BODY and TEXT of the empty text
}

// age is how old a message is, in whole seconds; younger than nothing counts as new.
func (a *asked) age() int64 { return a.now.Unix() - a.summary.Received.Unix() }

// compareDay is BEFORE (0), ON (1) or SINCE (2).
func compareDay(how Op, is, wanted Day) bool {
	switch how {
	case 0:
		return is < wanted
	case 1:
		return is == wanted
	default:
		return is >= wanted
	}
}

// hasFlag reports whether a flag is among those of a message, which ascend.
func hasFlag(flags []mail.Flag, f mail.Flag) bool {
	for _, have := range flags {
		if have == f {
			return true
		}
	}
	return false
}
