package index

import (
	"porcupine/internal/mail/index/talk"
)

// answerWithin says of messages whether they are in a folder: for those who have listed them themselves, and want only what
// is there, as IMAP shows it. So a message that lay where nobody could be asked when the index was built is in the folder that its
// ledger says. Of a folder that is closed nothing is said: while others are, what may have been moved into them is in none.
func (s *state) answerWithin(q *talk.Question) (*talk.Answer, error) {
	if err := s.closed(q.Folder); err != nil {
		return nil, err
	}
	a := &talk.Answer{}
	for _, id := range q.Messages {
		k := talk.KnownNot
		if _, dead := s.dead[id]; dead {
			k = talk.KnownDead
		} else if h, ok := s.homeOf(id); ok {
			if k = talk.KnownElsewhere; h.folder == q.Folder {
				k = talk.KnownHere
			}
		}
		a.Known = append(a.Known, k)
	}
	return a, nil
}
