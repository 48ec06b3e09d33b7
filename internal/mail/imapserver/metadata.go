package imapserver

import (
	"maps"
	"slices"
	"strings"

	"porcupine/internal/cluster"
	"porcupine/internal/mail/imap"
)

// metadataValueMax is the length of an annotation in octets.
const metadataValueMax = 16 << 10

// getMetadata carries out GETMETADATA (RFC 5464 §4.2).
func (s *session) getMetadata(c imap.GetMetadata) imap.Reply {
	ctx, cancel := s.service()
	defer cancel()
	all, err := s.mailbox.Metadata(ctx, c.Folder)
	if err != nil {
		return s.failure(err, onFolder)
	}
	r := done(imap.VerbGetMetadata)
	var values []imap.MetadataValue
	longest := 0
	for _, name := range wanted(c, all) {
		text, there := all[name]
		if c.MaxSize != nil && int64(len(text)) > *c.MaxSize {
			longest = max(longest, len(text))
			continue
		}
		v := imap.MetadataValue{Entry: name}
		if there {
			v.Value = []byte(text)
		}
		values = append(values, v)
	}
	if len(values) > 0 {
		s.say(imap.MetadataData{Folder: c.Folder, Values: values})
	}
	if longest > 0 { // RFC 5464 §4.2.1
		r.Code = imap.Code{Name: imap.CodeMetadataLongEntries, Number: uint64(longest)}
	}
	return r
}

// wanted gives the names of the entries to be told, ascending: those that were named, whether they are there
// or not, and what is below them, as deep as was asked for.
func wanted(c imap.GetMetadata, all map[string]string) []string {
	names := map[string]bool{}
	for _, e := range c.Entries {
		names[e] = true
		if c.Depth == imap.DepthZero {
			continue
		}
		for name := range all {
			below, ok := strings.CutPrefix(name, strings.TrimSuffix(e, "/")+"/")
			if ok && (c.Depth == imap.DepthInfinity || !strings.Contains(below, "/")) {
				names[name] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// setMetadata carries out SETMETADATA (RFC 5464 §4.3).
func (s *session) setMetadata(c imap.SetMetadata) imap.Reply {
	values := make(map[string]*string, len(c.Values))
	for _, v := range c.Values {
		switch {
		case !strings.HasPrefix(v.Entry, "/private/") && !strings.HasPrefix(v.Entry, "/shared/"):
			return s.wrong("an entry is below /private or /shared") // RFC 5464 §3
		case len(v.Value) > metadataValueMax:
			r := no(imap.CodeMetadataMaxSize, "the value is too long")
			r.Code.Number = metadataValueMax
			return r
		case v.Value == nil:
			values[v.Entry] = nil
		default:
			text := string(v.Value)
			values[v.Entry] = &text
		}
	}
	ctx, cancel := s.service()
	defer cancel()
	if err := s.mailbox.SetMetadata(ctx, c.Folder, values); err != nil {
		if cluster.IsKind(err, cluster.KindLimit) {
			return no(imap.CodeMetadataTooMany, "too many annotations")
		}
		return s.failure(err, onFolder)
	}
	return done(imap.VerbSetMetadata)
}
