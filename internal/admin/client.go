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

// SocketName is the admin socket's name in the data directory.
const SocketName = "admin.sock"

// ErrNotRunning is in the chain of a Client's error when no node answers on the socket.
var ErrNotRunning = errors.New("no node is running here: start it with 'porcupine serve', or give the --config of a node that runs")

// Client speaks to a running node over its admin socket. It satisfies Directory.
type Client struct {
	http   *http.Client
	socket string
}

// NewClient makes a client of the socket at that path. Nothing is dialled yet.
func NewClient(socket string) *Client {
	var d net.Dialer
	return &Client{socket: socket, http: &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return d.DialContext(ctx, "unix", socket)
		},
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
	req, err := http.NewRequestWithContext(ctx, method, "http://node"+path, r)
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

// call sends body and reads the answer into result.
func (c *Client) call(ctx context.Context, method, path string, body, result any) error {
	resp, err := c.do(ctx, method, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	dec := json.NewDecoder(resp.Body)
	if resp.StatusCode != http.StatusOK {
		var f failure
		if err := dec.Decode(&f); err != nil || f.Error == "" {
			return fmt.Errorf("admin request %s: the node answered %s", path, resp.Status)
		}
		return &cluster.Error{Kind: f.Kind, Op: "node", Err: errors.New(f.Error)}
	}
	if err := dec.Decode(result); err != nil {
		return fmt.Errorf("admin request %s: unreadable answer: %w", path, err)
	}
	return nil
}

func (c *Client) change(ctx context.Context, path string, a address) error {
	return c.call(ctx, http.MethodPost, path, a, &struct{}{})
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

// AddUser makes a user.
func (c *Client) AddUser(ctx context.Context, addr, password string) error {
	return c.change(ctx, "/users/add", address{Address: addr, Password: password})
}

// AddUsers makes several users with one password, AddUsersMax at a time.
func (c *Client) AddUsers(ctx context.Context, addrs []string, password string) error {
	for part := range slices.Chunk(addrs, AddUsersMax) {
		if err := c.change(ctx, "/users/add-many", address{Addrs: part, Password: password}); err != nil {
			return err
		}
	}
	return nil
}

// SetPassword changes a user's password.
func (c *Client) SetPassword(ctx context.Context, addr, password string) error {
	return c.change(ctx, "/users/passwd", address{Address: addr, Password: password})
}

// RemoveUser removes a user and the user's mail.
func (c *Client) RemoveUser(ctx context.Context, addr string) error {
	return c.change(ctx, "/users/remove", address{Address: addr})
}

// ListUsers gives one page of users.
func (c *Client) ListUsers(ctx context.Context, after string, limit int) ([]User, error) {
	return page[User](ctx, c, "/users", after, limit)
}

// AddDomain makes a domain local.
func (c *Client) AddDomain(ctx context.Context, domain string) error {
	return c.change(ctx, "/domains/add", address{Address: domain})
}

// RemoveDomain removes a domain that has no users left.
func (c *Client) RemoveDomain(ctx context.Context, domain string) error {
	return c.change(ctx, "/domains/remove", address{Address: domain})
}

// ListDomains gives one page of domains.
func (c *Client) ListDomains(ctx context.Context, after string, limit int) ([]string, error) {
	return page[string](ctx, c, "/domains", after, limit)
}

// AddAlias makes an alias.
func (c *Client) AddAlias(ctx context.Context, alias string, targets []string) error {
	return c.change(ctx, "/aliases/add", address{Address: alias, Targets: targets})
}

// RemoveAlias removes an alias.
func (c *Client) RemoveAlias(ctx context.Context, alias string) error {
	return c.change(ctx, "/aliases/remove", address{Address: alias})
}

// ListAliases gives one page of aliases.
func (c *Client) ListAliases(ctx context.Context, after string, limit int) ([]Alias, error) {
	return page[Alias](ctx, c, "/aliases", after, limit)
}

// Verify has the node read its whole store; each fault comes as a line.
func (c *Client) Verify(ctx context.Context, report func(fault string)) error {
	resp, err := c.do(ctx, http.MethodGet, "/store/verify", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines, last := bufio.NewScanner(resp.Body), ""
	for lines.Scan() {
		if last != "" {
			report(last)
		}
		last = lines.Text()
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("store verify: the answer broke off: %w", err)
	}
	if !strings.HasPrefix(last, "ok ") {
		return fmt.Errorf("store verify: %s", last)
	}
	return nil
}

// Dump copies the node's dump to w.
func (c *Client) Dump(ctx context.Context, w io.Writer) error {
	resp, err := c.do(ctx, http.MethodGet, "/store/dump", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(w, resp.Body); err != nil {
		return fmt.Errorf("store dump: the answer broke off: %w", err)
	}
	return nil
}
