package store

import (
	"reflect"
	"slices"
	"testing"
	"time"
)

// TestEverybody checks that Everybody considers every field of a Filter, including fields added
// later.
func TestEverybody(t *testing.T) {
	if !(Filter{}).Everybody() {
		t.Error("an empty filter does not select everybody's attempts")
	}
	typ := reflect.TypeFor[Filter]()
	for i := range typ.NumField() {
		var f Filter
		field := reflect.ValueOf(&f).Elem().Field(i)
		switch field.Kind() {
		case reflect.String:
			field.SetString("x")
		case reflect.Bool:
			field.SetBool(true)
		case reflect.Pointer:
			field.Set(reflect.New(field.Type().Elem()))
		case reflect.Slice:
			field.Set(reflect.MakeSlice(field.Type(), 1, 1))
		case reflect.Struct:
			field.Set(reflect.ValueOf(time.Unix(1, 0)))
		default:
			t.Fatalf("%s: a field of a kind that this test does not know", typ.Field(i).Name)
		}
		name := typ.Field(i).Name
		if want := slices.Contains([]string{"Since", "Until", "Outcomes", "Reasons", "NoHistory"}, name); f.Everybody() != want {
			t.Errorf("%s alone is set: Everybody() = %v", name, !want)
		}
	}
}
