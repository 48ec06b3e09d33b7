package smtpserver

import (
	"reflect"
	"testing"
)

func TestAttack26_EveryLimitHasADefault(t *testing.T) {
	for _, given := range []int64{0, -1} {
		var l Limits
		v := reflect.ValueOf(&l).Elem()
		for i := range v.NumField() {
			v.Field(i).SetInt(given)
		}
		got := reflect.ValueOf(l.withDefaults())
		for i := range got.NumField() {
			name := got.Type().Field(i).Name
			if n := got.Field(i).Int(); n <= 0 && name != "GreetingDelay" {
				t.Errorf("%s = %d gives %d, want a default", name, given, n)
			}
		}
	}
}
