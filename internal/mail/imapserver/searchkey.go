package imapserver

import (
	"errors"

	"porcupine/internal/mail/imap"
	"porcupine/internal/mail/search"
)

var errNotOfCharset = errors.New("the text to search for is not of the charset given")

// translate makes of the keys of the grammar those that package search knows: sequence numbers and "$" become
// UIDs of the client's view, texts become UTF-8. It is as deep as the grammar allows. The error is for the client: BAD.
func (s *session) translate(charset string, k *imap.SearchKey) (search.Key, error) {
	switch k.Op {
	case imap.SearchAnd, imap.SearchOr, imap.SearchNot:
		key := search.Key{Op: map[imap.SearchOp]search.Op{imap.SearchAnd: search.OpAnd, imap.SearchOr: search.OpOr, imap.SearchNot: search.OpNot}[k.Op]}
		for i := range k.Keys {
			sub, err := s.translate(charset, &k.Keys[i])
			if err != nil {
				return key, err
			}
			key.Keys = append(key.Keys, sub)
		}
		return key, nil
	case imap.SearchNumbers, imap.SearchUIDs:
		if k.Op == imap.SearchNumbers && s.folder.view.Len() == 0 && k.Set.IsOpen() {
			return search.None(), nil // no mistake: clients search 1:* of a folder of which they know nothing
		}
		uids, err := s.folder.uids(k.Set, k.Op == imap.SearchUIDs)
		return search.Key{Op: search.OpUIDs, UIDs: uids}, err
	case imap.SearchHasFlag:
		return search.Flag(k.Flag), nil
	case imap.SearchLacksFlag:
		return search.Not(search.Flag(k.Flag)), nil
	case imap.SearchNew, imap.SearchRecent: // nothing is \Recent here
		return search.None(), nil
	case imap.SearchLarger, imap.SearchSmaller, imap.SearchOlder, imap.SearchYounger:
		return search.Key{Op: numberKeys[k.Op], Number: uint64(max(k.Number, 0))}, nil
	case imap.SearchModSeq: // one modification sequence for all flags of a message: the entry asked for decides nothing
		return search.Key{Op: search.OpModSeq, Number: uint64(k.ModSeq)}, nil
	case imap.SearchEmailID:
		return search.Key{Op: search.OpEmailID, Text: k.ID}, nil
	case imap.SearchThreadID:
		return search.Key{Op: search.OpThreadID, Text: k.ID}, nil
	}
	if op, ok := dayKeys[k.Op]; ok {
		return search.Key{Op: op, Day: search.DayOf(k.Date)}, nil
	}
	if key, ok := textKey(k); ok {
		text, err := search.DecodeText(charset, []byte(k.Text))
		if err != nil {
			return key, errNotOfCharset
		}
		key.Text = text
		return key, nil
	}
	return search.Key{}, nil // ALL, OLD, SAVEDATESUPPORTED: every message
}

var numberKeys = map[imap.SearchOp]search.Op{
	imap.SearchLarger: search.OpLarger, imap.SearchSmaller: search.OpSmaller,
	imap.SearchOlder: search.OpOlder, imap.SearchYounger: search.OpYounger,
}

var dayKeys = map[imap.SearchOp]search.Op{
	imap.SearchBefore: search.OpBefore, imap.SearchOn: search.OpOn, imap.SearchSince: search.OpSince,
	imap.SearchSentBefore: search.OpSentBefore, imap.SearchSentOn: search.OpSentOn, imap.SearchSentSince: search.OpSentSince,
	imap.SearchSavedBefore: search.OpSavedBefore, imap.SearchSavedOn: search.OpSavedOn, imap.SearchSavedSince: search.OpSavedSince,
}

// textKey gives the key for a text, still without it; false: it is none.
func textKey(k *imap.SearchKey) (search.Key, bool) {
	switch k.Op {
	case imap.SearchBcc, imap.SearchCc, imap.SearchFrom, imap.SearchSubject, imap.SearchTo: // they are named after their fields
		return search.Key{Op: search.OpHeader, Field: string(k.Op)}, true
	case imap.SearchHeader:
		return search.Key{Op: search.OpHeader, Field: k.Field}, true
	case imap.SearchBody:
		return search.Key{Op: search.OpBody}, true
	case imap.SearchText:
		return search.Key{Op: search.OpText}, true
	}
	return search.Key{}, false
}
