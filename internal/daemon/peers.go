package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// peersName is the file in the data directory with the addresses that `porcupine join` was told.
// The membership state takes over from it once the node has met the others.
const peersName = "peers.json"

// RememberPeers keeps the addresses of other nodes for the first start of a node that joined.
func RememberPeers(dataDir string, addrs []string) error {
	text, err := json.Marshal(addrs)
	if err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dataDir, peersName), text, 0o600); err != nil {
		return fmt.Errorf("remember peers: %w", err)
	}
	return nil
}

func rememberedPeers(dataDir string) ([]string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, peersName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("remembered peers: %w", err)
	}
	var addrs []string
	if err := json.Unmarshal(text, &addrs); err != nil {
		return nil, fmt.Errorf("remembered peers: %s: %w: remove the file and name a peer in the configuration", peersName, err)
	}
	return addrs, nil
}
