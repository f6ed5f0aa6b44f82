/** A row of `item`, the one table that cases work on. */
export interface Item {
  readonly id: number
  readonly name: string
  readonly stock: number
  readonly version: number
}

/** What an item needs to be made; the rest has defaults: no stock, version 1. */
export interface NewItem {
  readonly id: number
  readonly name: string
  readonly stock?: number
}

/** What may be changed of an item. */
export type ItemChanges = Partial<Pick<Item, 'name' | 'stock'>>

/** Anything that JSON can say. */
export type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json }

/**
 * A row of `sample`, which has a column of each common type, in a form that belongs to no ORM: a subject turns what its
 * ORM gives into this, where the two differ.
 */
export interface Sample {
  readonly id: number
  readonly flag: boolean | null
  readonly small: number | null
  readonly whole: number | null
  readonly big: bigint | null
  readonly double: number | null
  /** All digits, without zeros at the end of a fraction. */
  readonly exact: string | null
  readonly body: string | null
  readonly label: string | null
  readonly uuid: string | null
  readonly document: Json
  readonly details: Json
  readonly bytes: Uint8Array | null
  /** As `2024-02-29`. */
  readonly day: string | null
  readonly moment: Date | null
  readonly words: readonly string[] | null
  readonly numbers: readonly number[] | null
}

/** SQL that makes the tables; `item.id` of a part must be there, and some names of an item are refused. */
export const schema = `
  create table item (
    id int primary key,
    name text not null,
    stock int not null default 0,
    version int not null default 1
  );
  create table part (id int primary key, item_id int not null references item);
  create table sample (
    id int primary key,
    flag boolean,
    small smallint,
    whole int,
    big bigint,
    double double precision,
    exact numeric,
    body text,
    label varchar(40),
    uuid uuid,
    document json,
    details jsonb,
    bytes bytea,
    day date,
    moment timestamptz,
    words text[],
    numbers int[]
  );
`
