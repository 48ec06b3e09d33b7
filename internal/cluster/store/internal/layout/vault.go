package layout

import (
	"encoding/binary"
	"fmt"

	"porcupine/internal/cluster"
)

const (
	timestampSize = 16
	timeSize      = 8
)

// AppendVaultKey appends the key of a deleted object in the vault: the object's own key, under
// another prefix, and the timestamp of the deletion. Its value is the object's record as it was.
func AppendVaultKey(dst, objectKey []byte, deletion cluster.Timestamp) []byte {
	dst = append(append(dst, byte(PrefixVault)), objectKey[1:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(deletion.Time))
	return binary.BigEndian.AppendUint64(dst, uint64(deletion.Node))
}

// VaultBounds gives a key range that holds all that the vault has of an object that was deleted at
// the times given, and perhaps of objects whose ids begin with its id: see ParseVaultKey.
func VaultBounds(objectKey []byte, from, to int64) (lower, upper []byte) {
	lower = AppendVaultKey(nil, objectKey, cluster.Timestamp{Time: from})
	upper = AppendVaultKey(nil, objectKey, cluster.Timestamp{Time: to, Node: 1<<64 - 1})
	return lower, append(upper, 0)
}

// ParseVaultKey takes a key in the vault apart.
func ParseVaultKey(key []byte) (b cluster.Bucket, id cluster.ObjectID, deletion cluster.Timestamp, err error) {
	if len(key) < 1+timestampSize || Prefix(key[0]) != PrefixVault {
		return 0, id, deletion, fmt.Errorf("vault key %q: want prefix %q, object and timestamp", key, PrefixVault)
	}
	end := len(key) - timestampSize
	object := append([]byte{byte(PrefixObject)}, key[1:end]...)
	if _, b, id, err = ParseObjectKey(object); err != nil {
		return 0, id, deletion, fmt.Errorf("vault key: %w", err)
	}
	deletion.Time = int64(binary.BigEndian.Uint64(key[end:]))
	deletion.Node = cluster.NodeID(binary.BigEndian.Uint64(key[end+timeSize:]))
	if deletion.Time <= 0 || deletion.Node == cluster.NoNode {
		return 0, id, deletion, fmt.Errorf("vault key %q: the timestamp is not one", key)
	}
	return b, id, deletion, nil
}

// AppendOldestKey appends the key that stands for a vault key in the order of time. Its value is
// that of an empty meta value.
func AppendOldestKey(dst, vaultKey []byte) []byte {
	at := vaultKey[len(vaultKey)-timestampSize:]
	dst = append(append(dst, byte(PrefixOldest)), at[:timeSize]...)
	return append(dst, vaultKey[1:]...)
}

// ParseOldestKey gives the vault key that a key stands for.
func ParseOldestKey(key []byte) ([]byte, error) {
	if len(key) < 1+timeSize+timestampSize || Prefix(key[0]) != PrefixOldest {
		return nil, fmt.Errorf("key %q: want prefix %q, a time and a vault key", key, PrefixOldest)
	}
	vault := append([]byte{byte(PrefixVault)}, key[1+timeSize:]...)
	_, _, deletion, err := ParseVaultKey(vault)
	if err == nil && uint64(deletion.Time) != binary.BigEndian.Uint64(key[1:]) {
		err = fmt.Errorf("key %q: the time is not that of the deletion", key)
	}
	return vault, err
}
