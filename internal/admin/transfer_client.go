package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"porcupine/internal/cluster"
)

// Folders lists a user's folders.
func (c *Client) Folders(ctx context.Context, address string) (folders []MailFolder, err error) {
	err = c.call(ctx, http.MethodGet, "/transfer/folders?"+url.Values{"address": {address}}.Encode(), nil, &folders)
	return folders, err
}

// MakeFolder makes a folder of a user unless it is there.
func (c *Client) MakeFolder(ctx context.Context, address string, f MailFolder) error {
	return c.call(ctx, http.MethodPost, "/transfer/folder?"+url.Values{"address": {address}}.Encode(), f, &struct{}{})
}

// Emails yields the Email ids of all messages of a user.
func (c *Client) Emails(ctx context.Context, address string, yield func(id string) error) error {
	return c.list(ctx, "/transfer/emails?"+url.Values{"address": {address}}.Encode(), func(h MailHead, _ io.Reader) error { return yield(h.Email) })
}

// Export yields the messages of a user's folder whose UIDs are above after, ascending. What yield leaves of contents is passed
// over.
func (c *Client) Export(ctx context.Context, address, folder string, after uint32, yield func(h MailHead, contents io.Reader) error) error {
	q := url.Values{"address": {address}, "folder": {folder}, "after": {strconv.FormatUint(uint64(after), 10)}}
	return c.list(ctx, "/transfer/export?"+q.Encode(), yield)
}

// list reads heads and contents up to the tail.
func (c *Client) list(ctx context.Context, path string, yield func(MailHead, io.Reader) error) error {
	resp, err := c.do(ctx, http.MethodGet, path, nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(path, resp)
	}
	in := bufio.NewReaderSize(resp.Body, transferHeadMax)
	for {
		h, err := readHead(in)
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return cluster.Errorf(cluster.KindUnavailable, "read from the node", "its answer was cut off")
		}
		if err != nil || h.end {
			return err
		}
		contents := &io.LimitedReader{R: in, N: h.Size}
		if err := yield(h.MailHead, contents); err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, contents); err != nil {
			return fmt.Errorf("admin request %s: %w", path, err)
		}
		if contents.N > 0 {
			return cluster.Errorf(cluster.KindUnavailable, "read from the node", "its answer was cut off")
		}
	}
}

// BeginImport gives the number of a user's import from a source: the same one until EndImport.
func (c *Client) BeginImport(ctx context.Context, address, source string) (string, error) {
	var n importNumber
	err := c.call(ctx, http.MethodPost, "/transfer/begin?"+url.Values{"address": {address}, "source": {source}}.Encode(), nil, &n)
	return n.Number, err
}

// EndImport says that an import is complete.
func (c *Client) EndImport(ctx context.Context, address, source string) error {
	return c.call(ctx, http.MethodPost, "/transfer/end?"+url.Values{"address": {address}, "source": {source}}.Encode(), nil, &struct{}{})
}

// Append stores messages in a user's folder: at most AppendMax. What is stored of those that fail stays; stored again for the
// same import it is there once.
func (c *Client) Append(ctx context.Context, address, number, folder string, messages []Incoming) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	var parts []io.Reader
	for _, m := range messages {
		line, err := json.Marshal(m.MailHead)
		if err != nil {
			return fmt.Errorf("append message: %w", err)
		}
		parts = append(parts, bytes.NewReader(append(line, '\n')), io.LimitReader(m.Contents, m.Size))
	}
	last, err := json.Marshal(tail{End: true})
	if err != nil {
		return fmt.Errorf("append message: %w", err)
	}
	parts = append(parts, bytes.NewReader(append(last, '\n')))
	path := "/transfer/append?" + url.Values{"address": {address}, "number": {number}, "folder": {folder}}.Encode()
	resp, err := c.send(ctx, http.MethodPost, path, io.MultiReader(parts...))
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(path, resp)
	}
	return nil
}
