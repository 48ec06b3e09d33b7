package bench

import (
	"fmt"
	"math/rand/v2"
	"slices"

	"porcupine/internal/bench/client"
)

// What clients ask for. headerFields is what Thunderbird shows in its list of messages.
const (
	syncItems    = "(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODYSTRUCTURE)"
	headerFields = "(UID RFC822.SIZE FLAGS BODY.PEEK[HEADER.FIELDS (From To Cc Bcc Subject Date Message-ID Priority X-Priority References Newsgroups In-Reply-To Content-Type Reply-To)])"
	searchHeader = `HEADER X-Mailer "nowhere"`
	searchFrom   = `FROM "nobody"`
	searchBody   = `BODY "nowhere to be found"`
)

// operate does one operation.
func (r *imapRun) operate(c *client.IMAP, rng *rand.Rand) (messages, bytes int64, err error) {
	switch r.cfg.Load {
	case IMAPAppend:
		return 1, int64(len(r.message)), c.Append(benchFolder, r.message)
	case IMAPMultiAppend:
		return fillBatch, int64(fillBatch * len(r.message)), c.Append(benchFolder, slices.Repeat([][]byte{r.message}, fillBatch)...)
	case IMAPFetch:
		first := 1 + rng.IntN(max(1, r.cfg.Messages-fetchBatch))
		return fetched(c.Fetch(false, fmt.Sprintf("%d:%d", first, min(r.cfg.Messages, first+fetchBatch-1)), "(UID BODY.PEEK[])"))
	case IMAPSelect:
		f, err := c.Select(benchFolder)
		if err == nil {
			err = c.Unselect()
		}
		return f.Exists, 0, err
	case IMAPFlags:
		return fetched(c.Fetch(true, "1:*", "(FLAGS)"))
	case IMAPHeaders:
		return fetched(c.Fetch(true, "1:*", headerFields))
	case IMAPSearchHeader:
		return r.search(c, searchHeader)
	case IMAPSearchFrom:
		return r.search(c, searchFrom)
	case IMAPSearchBody:
		return r.search(c, searchBody)
	default: // IMAPSync
		_, flags, err := fetched(c.Fetch(true, "1:*", "(FLAGS)"))
		if err != nil {
			return 0, 0, err
		}
		messages, bytes, err = fetched(c.Fetch(true, "1:*", syncItems))
		return messages, flags + bytes, err
	}
}

func fetched(f client.Fetched, err error) (messages, bytes int64, _ error) {
	return f.Messages, f.Bytes, err
}

// search looks through the whole folder, and finds nothing.
func (r *imapRun) search(c *client.IMAP, key string) (messages, bytes int64, err error) {
	return int64(r.cfg.Messages), 0, c.Do("UID SEARCH " + key)
}
