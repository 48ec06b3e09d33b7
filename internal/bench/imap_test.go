package bench

import (
	"strings"
	"testing"
	"time"
)

func TestIMAPConfig(t *testing.T) {
	good := IMAPConfig{Addrs: []string{"127.0.0.1:143"}, Load: IMAPLogin, UserPattern: "u%d", Users: 1, Workers: 1,
		Duration: time.Second, Size: 4700, Timeout: time.Second}
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*IMAPConfig){
		"loopback":     func(c *IMAPConfig) { c.Addrs = []string{"192.0.2.1:143"} },
		"addresses":    func(c *IMAPConfig) { c.Addrs = nil },
		"want one of":  func(c *IMAPConfig) { c.Load = "all" },
		"user pattern": func(c *IMAPConfig) { c.UserPattern = "u" },
		"users = 0":    func(c *IMAPConfig) { c.Users = 0 },
		"workers = ":   func(c *IMAPConfig) { c.Workers = WorkersMax + 1 },
		"duration = ":  func(c *IMAPConfig) { c.Duration = 0 },
		"messages = ":  func(c *IMAPConfig) { c.Messages = FolderMax + 1 },
		"size = ":      func(c *IMAPConfig) { c.Size = 1 },
		"timeout = ":   func(c *IMAPConfig) { c.Timeout = 0 },
	} {
		c := good
		change(&c)
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestIMAPMessage(t *testing.T) {
	for _, size := range []int{MessageMin, 4700, 100_000} {
		m := string(imapMessage(1, size))
		if len(m) > size+256 || len(m) < size-128 || strings.Contains(strings.ReplaceAll(m, "\r\n", ""), "\n") || !strings.HasSuffix(m, "--part--\r\n") {
			t.Errorf("a message of %d bytes, asked for %d", len(m), size)
		}
	}
}
