"use strict";
var __createBinding = (this && this.__createBinding) || (Object.create ? (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    var desc = Object.getOwnPropertyDescriptor(m, k);
    if (!desc || ("get" in desc ? !m.__esModule : desc.writable || desc.configurable)) {
      desc = { enumerable: true, get: function() { return m[k]; } };
    }
    Object.defineProperty(o, k2, desc);
}) : (function(o, m, k, k2) {
    if (k2 === undefined) k2 = k;
    o[k2] = m[k];
}));
var __setModuleDefault = (this && this.__setModuleDefault) || (Object.create ? (function(o, v) {
    Object.defineProperty(o, "default", { enumerable: true, value: v });
}) : function(o, v) {
    o["default"] = v;
});
var __importStar = (this && this.__importStar) || (function () {
    var ownKeys = function(o) {
        ownKeys = Object.getOwnPropertyNames || function (o) {
            var ar = [];
            for (var k in o) if (Object.prototype.hasOwnProperty.call(o, k)) ar[ar.length] = k;
            return ar;
        };
        return ownKeys(o);
    };
    return function (mod) {
        if (mod && mod.__esModule) return mod;
        var result = {};
        if (mod != null) for (var k = ownKeys(mod), i = 0; i < k.length; i++) if (k[i] !== "default") __createBinding(result, mod, k[i]);
        __setModuleDefault(result, mod);
        return result;
    };
})();
Object.defineProperty(exports, "__esModule", { value: true });
// A program in CommonJS, as TypeScript has long written it: test/packages/commonjs.test.ts compiles and runs it.
const core = __importStar(require("@pg-lifeguard/core"));
const drizzle_1 = require("@pg-lifeguard/drizzle");
const kysely_1 = require("@pg-lifeguard/kysely");
const prisma_1 = require("@pg-lifeguard/prisma");
const drizzle_orm_1 = require("drizzle-orm");
const pg_core_1 = require("drizzle-orm/pg-core");
const pg_1 = require("pg");
const item = (0, pg_core_1.pgTable)('item', { id: (0, pg_core_1.serial)('id').primaryKey(), name: (0, pg_core_1.text)('name').unique() });
const schema = { item };
async function main() {
    const pool = (0, drizzle_1.createPool)({ connectionString: process.env['DATABASE'], max: 2 });
    try {
        const db = (0, drizzle_1.drizzle)(pool, { schema });
        await db.execute((0, drizzle_orm_1.sql) `drop table if exists item`);
        await db.execute((0, drizzle_orm_1.sql) `create table item (id serial primary key, name text unique)`);
        const rows = await (0, drizzle_1.withTransaction)(db, async (tx) => {
            await tx.insert(item).values({ name: 'rope' });
            return await tx.query.item.findMany();
        });
        const names = rows.map(({ name }) => name);
        const refused = await db
            .insert(item)
            .values({ name: 'rope' })
            .catch((error) => error);
        const undone = await db.transaction(async (tx) => tx.rollback()).catch((error) => error);
        const misuse = await Promise.resolve()
            .then(() => core.createPool({ max: 0 }))
            .catch((error) => error);
        // The form for ES modules beside that for CommonJS, as of a dependency that is written in the other.
        const other = await Function('return import("@pg-lifeguard/drizzle")')();
        console.log(JSON.stringify({
            names,
            oneCore: core.createPool === drizzle_1.createPool && other.createPool === drizzle_1.createPool,
            isTwice: other.drizzle !== drizzle_1.drizzle,
            pgPool: pool.asPgPool() instanceof pg_1.Pool,
            database: db instanceof pg_core_1.PgDatabase,
            refused: refused instanceof drizzle_orm_1.DrizzleQueryError,
            undone: undone instanceof drizzle_orm_1.TransactionRollbackError,
            misuse: misuse instanceof core.InvalidArgumentError,
            known: other.poolOf(db) === pool && (0, drizzle_1.poolOf)(other.drizzle(pool)) === pool,
            adapters: [typeof kysely_1.LifeguardDialect, typeof prisma_1.lifeguardAdapter],
        }));
    }
    finally {
        await pool.end();
    }
}
main().catch((error) => {
    console.error(error);
    process.exitCode = 1;
});
