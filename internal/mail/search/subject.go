package search

import "strings"

// BaseSubject extracts the base subject (RFC 5256 §2.1) of a Subject field's value, decoded. replied: what was taken away
// says that the message is a reply or a forward (§3). The steps are numbered as there; the time is linear in the subject.
func BaseSubject(subject string) (base string, replied bool) {
	// (1) tabs and runs of blanks are one blank; encoded words are decoded by the caller.
	s := string(blanks(nil, []byte(subject)))
	for {
		// (2)
		s, replied = cutTrailers(s, replied)
		// (3), (4), (5)
		s, replied = cutLeaders(s, replied)
		// (6)
		inner, ok := cutForward(s)
		if !ok {
			return s, replied // (7)
		}
		s, replied = inner, true
	}
}

// cutTrailers removes all subj-trailer from the end: "(fwd)" and blanks.
func cutTrailers(s string, replied bool) (string, bool) {
	for {
		s = strings.TrimRight(s, " ")
		if len(s) < 5 || !strings.EqualFold(s[len(s)-5:], "(fwd)") {
			return s, replied
		}
		s, replied = s[:len(s)-5], true
	}
}

// cutLeaders removes all subj-leader from the beginning, and each subj-blob that leaves a base behind. Blobs
// may come before a leader or for themselves: those before a leader are removed with it, the others while something
// follows them, so all go but a last one with nothing behind it.
func cutLeaders(s string, replied bool) (string, bool) {
	for {
		s = strings.TrimLeft(s, " ")
		if rest, ok := cutRefwd(s); ok {
			s, replied = rest, true
			continue
		}
		rest, ok := cutBlob(s)
		if !ok {
			return s, replied
		}
		if rest == "" {
			return s, replied
		}
		s = rest
	}
}

// cutRefwd removes one subj-refwd: "Re", "Fw" or "Fwd", perhaps blanks and a blob, and a colon.
func cutRefwd(s string) (rest string, ok bool) {
	switch {
	case hasFold(s, "re"):
		rest = s[2:]
	case hasFold(s, "fwd"):
		rest = s[3:]
	case hasFold(s, "fw"):
		rest = s[2:]
	default:
		return s, false
	}
	rest = strings.TrimLeft(rest, " ")
	if after, ok := cutBlob(rest); ok {
		rest = after
	}
	if !strings.HasPrefix(rest, ":") {
		return s, false
	}
	return rest[1:], true
}

// cutBlob removes one subj-blob: a text without brackets, in brackets, and blanks after it.
func cutBlob(s string) (rest string, ok bool) {
	if !strings.HasPrefix(s, "[") {
		return s, false
	}
	end := strings.IndexAny(s[1:], "[]")
	if end < 0 || s[1+end] != ']' {
		return s, false
	}
	return strings.TrimLeft(s[end+2:], " "), true
}

// cutForward removes subj-fwd-hdr and subj-fwd-trl: "[Fwd: " and "]".
func cutForward(s string) (inner string, ok bool) {
	if !hasFold(s, "[fwd:") || !strings.HasSuffix(s, "]") {
		return s, false
	}
	return s[5 : len(s)-1], true
}

func hasFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
