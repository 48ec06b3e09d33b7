package admin

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"porcupine/internal/cluster"
)

// answerTimeout bounds the wait for the answer to a command: longer than the node takes at most.
const answerTimeout = 3 * time.Minute

// ErrNotRunning is in the chain of a Client's error when no node answers on the socket.
var ErrNotRunning = errors.New("no node is running here: start it with 'porcupine serve', or give the --config of a node that runs")

// Client speaks to a running node over its admin socket.
type Client struct {
	http   *http.Client
	socket string
}

var _ Directory = (*Client)(nil)

// NewClient makes a client of the socket at that path. Nothing is dialled yet.
func NewClient(socket string) *Client {
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx, socket) },
	}}}
}

func (c *Client) do(ctx context.Context, method, path string, body any) (*http.Response, error) {
	var r io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("admin request %s: %w", path, err)
		}
		r = bytes.NewReader(b)
	}
	return c.send(ctx, method, path, r)
}

// send makes a request with that body and gives the answer, whatever it says.
func (c *Client) send(ctx context.Context, method, path string, body io.Reader) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, body)
	if err != nil {
		return nil, fmt.Errorf("admin request %s: %w", path, err)
	}
	resp, err := c.http.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("admin socket %s: %w", c.socket, ErrNotRunning)
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("admin socket %s: permission denied: run this command as the node's own user or as root", c.socket)
	case err != nil:
		return nil, fmt.Errorf("admin socket %s: %w", c.socket, err)
	}
	return resp, nil
}

// refusal reads the error that the node answered with.
func refusal(path string, resp *http.Response) error {
	var f failure
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil || f.Error == "" {
		return fmt.Errorf("admin request %s: the node answered %s: it may be of another version", path, resp.Status)
	}
	return &cluster.Error{Kind: f.Kind, Op: "node", Err: errors.New(f.Error)}
}

// call sends body and reads the answer into result.
func (c *Client) call(ctx context.Context, method, path string, body, result any) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal(path, resp)
	}
	if err := json.NewDecoder(resp.Body).Decode(result); err != nil {
		return fmt.Errorf("admin request %s: unreadable answer: %w", path, err)
	}
	return nil
}

func (c *Client) change(ctx context.Context, path string, r request) error {
	return c.call(ctx, http.MethodPost, path, r, &struct{}{})
}

func page[T any](ctx context.Context, c *Client, path, after string, limit int) ([]T, error) {
	var items []T
	q := url.Values{"after": {after}, "limit": {strconv.Itoa(limit)}}
	err := c.call(ctx, http.MethodGet, path+"?"+q.Encode(), nil, &items)
	return items, err
}

// Status asks for the cluster's status.
func (c *Client) Status(ctx context.Context) (s Status, err error) {
	err = c.call(ctx, http.MethodGet, "/status", nil, &s)
	return s, err
}

// NewToken asks for a join token.
func (c *Client) NewToken(ctx context.Context) (string, time.Time, error) {
	var t token
	err := c.call(ctx, http.MethodPost, "/token", struct{}{}, &t)
	return t.Token, t.Expires, err
}

// Forget strikes an absent node that will not come back from the known ones; id in the form that
// status shows. fewerCopies permits it though fewer nodes are left than copies are wanted.
func (c *Client) Forget(ctx context.Context, id string, fewerCopies bool) error {
	return c.change(ctx, "/nodes/remove", request{Address: id, FewerCopies: fewerCopies})
}

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, addr, password string) error {
	return c.change(ctx, "/users/add", request{Address: addr, Password: password})
}

// AddUsers makes several users with one password, AddUsersMax at a time.
func (c *Client) AddUsers(ctx context.Context, addrs []string, password string) error {
	for part := range slices.Chunk(addrs, AddUsersMax) {
		if err := c.change(ctx, "/users/add-many", request{Addrs: part, Password: password}); err != nil {
			return err
		}
	}
	return nil
}

// SetPassword changes a user's password.
func (c *Client) SetPassword(ctx context.Context, addr, password string) error {
	return c.change(ctx, "/users/passwd", request{Address: addr, Password: password})
}

// EditUser changes a user's limits or whether the user may log in.
func (c *Client) EditUser(ctx context.Context, addr string, change UserChange) error {
	return c.change(ctx, "/users/edit", request{Address: addr, User: &change})
}

// RemoveUser removes a user and the user's mail.
func (c *Client) RemoveUser(ctx context.Context, addr string) error {
	return c.change(ctx, "/users/remove", request{Address: addr})
}

// ListUsers gives one page of users.
func (c *Client) ListUsers(ctx context.Context, after string, limit int) ([]User, error) {
	return page[User](ctx, c, "/users", after, limit)
}

// AddDomain makes a domain local.
func (c *Client) AddDomain(ctx context.Context, d Domain) error {
	return c.change(ctx, "/domains/add", request{Domain: &d})
}

// SetDomain replaces the settings of a domain.
func (c *Client) SetDomain(ctx context.Context, d Domain) error {
	return c.change(ctx, "/domains/set", request{Domain: &d})
}

// RemoveDomain removes a domain that has no users left.
func (c *Client) RemoveDomain(ctx context.Context, domain string) error {
	return c.change(ctx, "/domains/remove", request{Domain: &Domain{Domain: domain}})
}

// ListDomains gives one page of domains.
func (c *Client) ListDomains(ctx context.Context, after string, limit int) ([]Domain, error) {
	return page[Domain](ctx, c, "/domains", after, limit)
}

// AddAlias makes an alias.
func (c *Client) AddAlias(ctx context.Context, alias string, targets []string) error {
	return c.change(ctx, "/aliases/add", request{Address: alias, Targets: targets})
}

// RemoveAlias removes an alias.
func (c *Client) RemoveAlias(ctx context.Context, alias string) error {
	return c.change(ctx, "/aliases/remove", request{Address: alias})
}

// ListAliases gives one page of aliases.
func (c *Client) ListAliases(ctx context.Context, after string, limit int) ([]Alias, error) {
	return page[Alias](ctx, c, "/aliases", after, limit)
}

// Verify has the node read its whole store; each fault comes as a line. Without an error the whole
// store was read.
func (c *Client) Verify(ctx context.Context, report func(fault string)) error {
	resp, err := c.do(ctx, http.MethodGet, "/store/verify", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal("/store/verify", resp)
	}
	lines, last := bufio.NewReader(resp.Body), ""
	for {
		line, err := lines.ReadString('\n')
		if errors.Is(err, io.EOF) && line == "" {
			break
		}
		if err != nil {
			return fmt.Errorf("store verify: the node's answer broke off; what it read until then was reported: %w", err)
		}
		if last != "" {
			report(last)
		}
		last = strings.TrimSuffix(line, "\n")
	}
	if !strings.HasPrefix(last, verifyOK) {
		return fmt.Errorf("store verify: %s", strings.TrimPrefix(last, verifyFailed))
	}
	return nil
}

// Dump copies the node's dump to w. Without an error it is the whole.
func (c *Client) Dump(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/store/dump", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refusal("/store/dump", resp)
	}
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("store dump: it is not complete: %w", err)
	}
	return nil
}
